"""Channel-wise Forward-Forward against the hand gradients of arXiv 2312.12668, in numpy and float64."""

import numpy as np
import pytest
import torch
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import loop_of, make
from step import arrays, data_of, one_step, values_of

from bpfree.errors import InputError
from bpfree.functional.channels import channel_goodness

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 7, 3
X, Y = arrays(B, N, C)
SHARE = np.array([0, 0, 0, 1, 1, 2, 2])  # seven channels for three classes: 3, 2 and 2


def goodness(h: Array, share: Array) -> Array:
    return np.stack([(h[:, share == c] ** 2).mean(1) for c in range(C)], 1)


def layer(a: Array, w: Array, b: Array, share: Array) -> tuple[Array, Array, Array, float]:
    """Activity, dW, db and the loss."""
    z = a @ w.T + b
    h, g = relu(z), goodness(relu(z), share)
    e = (softmax(g) - one_hot(Y, C)) / B
    dz = 2 * e[:, share] * h / np.bincount(share)[share] * (z > 0)
    return h, dz.T @ a, dz.sum(0), cross_entropy(g, Y)


def test_update_is_the_hand_gradient():
    """One step of SGD of two layers: equal shares of six units, unequal ones of seven."""
    before, moved, losses = one_step("channel-ff", X, Y, hidden=(6, 7))
    h = X
    for k, share in enumerate((np.array([0, 0, 1, 1, 2, 2]), SHARE)):
        h, dw, db, loss = layer(h, before[f"blocks.{k}.1.weight"], before[f"blocks.{k}.1.bias"], share)
        np.testing.assert_allclose(moved[f"blocks.{k}.1.weight"], dw, **CLOSE)
        np.testing.assert_allclose(moved[f"blocks.{k}.1.bias"], db, **CLOSE)
        assert losses[str(k)] == pytest.approx(loss, abs=1e-12)


def test_goodness_of_maps_is_the_mean_square_over_channels_and_space():
    h = np.random.default_rng(0).normal(size=(2, 7, 4, 5))
    expected = np.stack([(h[:, c == SHARE] ** 2).mean((1, 2, 3)) for c in range(C)], 1)
    np.testing.assert_allclose(channel_goodness(torch.from_numpy(h), C).numpy(), expected, **CLOSE)


@pytest.mark.parametrize("readout", ["last", "sum"])
def test_prediction_is_the_goodness_of_the_last_layer_or_of_all(readout: str):
    loop = loop_of(make("channel-ff", hidden=(6, 7), readout=readout), data_of(X, Y), precision="fp64")
    v = values_of(loop.trainer)
    h0 = relu(X @ v["blocks.0.1.weight"].T + v["blocks.0.1.bias"])
    h1 = relu(h0 @ v["blocks.1.1.weight"].T + v["blocks.1.1.bias"])
    first, last = goodness(h0, np.array([0, 0, 1, 1, 2, 2])), goodness(h1, SHARE)
    with torch.no_grad():
        scores = loop.trainer.predict(next(loop.data.val.batches(B))).numpy()
    np.testing.assert_allclose(scores, last if readout == "last" else first + last, **CLOSE)


def test_fewer_channels_than_classes_are_refused():
    with pytest.raises(InputError, match="block 1 has 2 channels for 3 classes"):
        loop_of(make("channel-ff", hidden=(6, 2)), data_of(X, Y))
