"""Random features against a hand-worked net of two layers, in numpy and float64."""

import numpy as np
import pytest
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import digits, loop_of, make
from step import arrays, one_step

from bpfree.runs import provenance

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 7, 3
X, Y = arrays(B, N, C)


def by_hand(v: dict[str, Array]) -> tuple[dict[str, Array], float]:
    """Gradients and loss of CE(W1 h + b1) with h = relu(W0 x + b0) fixed."""
    h = relu(X @ v["blocks.0.1.weight"].T + v["blocks.0.1.bias"])
    out = h @ v["blocks.1.1.weight"].T + v["blocks.1.1.bias"]
    e = (softmax(out) - one_hot(Y, C)) / B
    return {"blocks.1.1.weight": e.T @ h, "blocks.1.1.bias": e.sum(0)}, cross_entropy(out, Y)


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_update_is_the_hand_gradient_of_the_readout_alone(cache_mb: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("step.loop_of", lambda *a, **o: loop_of(*a, **o, cache_mb=cache_mb))
    before, moved, losses = one_step("random-features", X, Y, hidden=(6,))
    grads, loss = by_hand(before)
    assert losses["readout"] == pytest.approx(loss, abs=1e-12)
    for name, step in moved.items():
        np.testing.assert_allclose(step, grads.get(name, np.zeros_like(step)), **CLOSE, err_msg=name)


def test_prediction_is_the_readout_of_the_random_layer():
    trainer = make("random-features", hidden=(6,))
    loop = loop_of(trainer, digits(20, 10, 10, pool=4), precision="fp64")
    v = {name: tensor.numpy() for name, tensor in trainer.state_dict().items()}
    x = loop.data.val.x.double()
    h = relu(x.flatten(1).numpy() @ v["blocks.0.1.weight"].T + v["blocks.0.1.bias"])
    out = h @ v["blocks.1.1.weight"].T + v["blocks.1.1.bias"]
    np.testing.assert_allclose(loop.scores(loop.data.val)[0].numpy(), out.astype(np.float32), rtol=1e-6, atol=1e-6)


def test_record_counts_frozen_weights_as_used_and_not_as_trained():
    loop = loop_of(make("random-features", hidden=(6,)), digits(20, 10, 10, pool=4))
    readout, layer = 6 * 10 + 10, 49 * 6 + 6
    assert provenance.parameters(loop) == {"trained": readout, "stored": readout + layer, "inference": readout + layer}
