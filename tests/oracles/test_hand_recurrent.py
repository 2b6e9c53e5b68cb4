"""The recurrent Forward-Forward against a second implementation and its hand gradient, in numpy and float64."""

import numpy as np
import torch
from plain import Array, one_hot, relu, rms, sigmoid
from small import loop_of, make
from step import arrays, data_of, one_step, values_of

CLOSE = {"rtol": 0, "atol": 1e-11}
B, N, C, D = 10, 8, 2, 0.3
X, Y = arrays(B, N, C)
HIDDEN = (6, 5)
WITH_ONE = np.concatenate([X, np.ones((B, 1))], 1)  # so that the length of an input is not lost


def bottom_up(v: dict[str, Array], image: Array) -> list[Array]:
    h, states = image, []
    for k in range(2):
        states.append(relu(h @ v[f"blocks.{k}.1.weight"].T + v[f"blocks.{k}.1.bias"]))
        h = rms(states[-1])
    return states


def seen(v: dict[str, Array], states: list[Array], image: Array, label: Array) -> list[tuple[Array, Array, Array]]:
    """For each layer: what it sees from below and above, and its pre-activation."""
    below, above = [image, rms(states[0])], [rms(states[1]), rms(label)]
    return [
        (down, up, down @ v[f"blocks.{k}.1.weight"].T + up @ v[f"heads.{k}.weight"].T + v[f"blocks.{k}.1.bias"])
        for k, (down, up) in enumerate(zip(below, above, strict=True))
    ]


def test_prediction_is_the_goodness_of_frames_3_to_5():
    """All layers step together: each sees its neighbours' states of the frame before."""
    loop = loop_of(make("recurrent-forward-forward", hidden=HIDDEN), data_of(X, Y), precision="fp64")
    v, expected = values_of(loop.trainer), np.zeros((B, C))
    for c in range(C):
        label = np.tile(np.eye(C)[c], (B, 1))
        states = bottom_up(v, rms(WITH_ONE))
        for t in range(1, 6):
            drives = [z for _, _, z in seen(v, states, rms(WITH_ONE), label)]
            states = [D * x + (1 - D) * relu(z) for x, z in zip(states, drives, strict=True)]
            if t >= 3:
                expected[:, c] += sum((x**2).sum(1) for x in states)
    with torch.no_grad():
        scores = loop.trainer.predict(next(loop.data.val.batches(B))).numpy()
    np.testing.assert_allclose(scores, expected, **CLOSE)


def test_one_frame_is_the_hand_gradient():
    """dx = -(1-p) x for right labels and p x for wrong ones, times 1 - d and the gate, over B."""
    before, moved, _ = one_step("recurrent-forward-forward", X, Y, hidden=HIDDEN, frames=1)
    dw = [np.zeros_like(before[f"blocks.{k}.1.weight"]) for k in range(2)]
    dv = [np.zeros_like(before[f"heads.{k}.weight"]) for k in range(2)]
    for label, sign in ((one_hot(Y, C), 1), (one_hot(1 - Y, C), -1)):
        states = bottom_up(before, rms(WITH_ONE))
        for k, (down, up, z) in enumerate(seen(before, states, rms(WITH_ONE), label)):
            x = D * states[k] + (1 - D) * relu(z)
            p = sigmoid((x**2).sum(1) - HIDDEN[k])[:, None]
            dx = -(1 - p) * x if sign > 0 else p * x
            dz = (1 - D) * dx * (z > 0) / B
            dw[k] += dz.T @ down
            dv[k] += dz.T @ up
    for k in range(2):
        np.testing.assert_allclose(moved[f"blocks.{k}.1.weight"], dw[k], **CLOSE)
        np.testing.assert_allclose(moved[f"heads.{k}.weight"], dv[k], **CLOSE)
