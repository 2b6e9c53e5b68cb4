"""Backpropagation against a hand-worked net of two layers, in numpy and float64."""

import numpy as np
import pytest
from plain import Array, cross_entropy, one_hot, relu, softmax
from step import arrays, one_step

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 7, 3
X, Y = arrays(B, N, C)


def by_hand(v: dict[str, Array], weight: float = 0.0) -> tuple[dict[str, Array], float]:
    """Gradients and loss of CE(W1 relu(W0 x + b0) + b1) + weight * CE(M relu(W0 x + b0))."""
    w0, b0 = v["blocks.0.1.weight"], v["blocks.0.1.bias"]
    w1, b1 = v["blocks.1.1.weight"], v["blocks.1.1.bias"]
    m = v.get("heads.0.weight", np.zeros((C, len(b0))))
    z0 = X @ w0.T + b0
    a0 = relu(z0)
    out, side = a0 @ w1.T + b1, a0 @ m.T
    e, s = (softmax(out) - one_hot(Y, C)) / B, weight * (softmax(side) - one_hot(Y, C)) / B
    d0 = (e @ w1 + s @ m) * (z0 > 0)
    grads = {"blocks.1.1.weight": e.T @ a0, "blocks.1.1.bias": e.sum(0)}
    grads |= {"blocks.0.1.weight": d0.T @ X, "blocks.0.1.bias": d0.sum(0)}
    if weight:
        grads["heads.0.weight"] = s.T @ a0
    return grads, cross_entropy(out, Y) + weight * cross_entropy(side, Y)


@pytest.mark.parametrize("name", ["blocks.0.1.weight", "blocks.0.1.bias", "blocks.1.1.weight", "blocks.1.1.bias"])
def test_update_is_the_hand_gradient(name: str):
    before, moved, _ = one_step("backprop", X, Y, hidden=(6,))
    np.testing.assert_allclose(moved[name], by_hand(before)[0][name], **CLOSE)


def test_loss_is_the_mean_cross_entropy():
    before, _, losses = one_step("backprop", X, Y, hidden=(6,))
    assert losses["net"] == pytest.approx(by_hand(before)[1], abs=1e-12)


@pytest.mark.parametrize("values", [{}, {"deep_supervision": True, "auxiliary_weight": 0.4}], ids=["plain", "deep"])
@pytest.mark.parametrize("count", [2, 3, 5, B, B + 1])  # twelve rows in equal parts, in ragged ones, one by one
def test_micro_batches_add_up_to_the_hand_gradient_of_the_batch(count: int, values: dict):
    before, moved, losses = one_step("backprop", X, Y, hidden=(6,), accumulate=count, **values)
    grads, loss = by_hand(before, values.get("auxiliary_weight", 0.0))
    assert losses["net"] == pytest.approx(loss, abs=1e-12)
    for name, grad in grads.items():
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)


@pytest.mark.parametrize("values", [{}, {"deep_supervision": True, "auxiliary_weight": 0.4}], ids=["plain", "deep"])
def test_activations_computed_twice_leave_the_hand_gradient(values: dict):
    before, moved, losses = one_step("backprop", X, Y, hidden=(6,), checkpointing=True, **values)
    grads, loss = by_hand(before, values.get("auxiliary_weight", 0.0))
    assert losses["net"] == pytest.approx(loss, abs=1e-12)
    for name, grad in grads.items():
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)


def test_deep_supervision_adds_the_weighted_losses_of_the_hidden_layers():
    before, moved, losses = one_step("backprop", X, Y, hidden=(6,), deep_supervision=True, auxiliary_weight=0.4)
    grads, loss = by_hand(before, 0.4)
    assert losses["net"] == pytest.approx(loss, abs=1e-12)
    for name, grad in grads.items():
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)
