"""Mono-Forward against the hand gradients of arXiv 2501.09238, in numpy and float64."""

import numpy as np
import pytest
import torch
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import fit, loop_of, make, tiny
from step import arrays, data_of, one_step, values_of

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 7, 3
X, Y = arrays(B, N, C)


def layer(a: Array, w: Array, b: Array, m: Array) -> tuple[Array, dict[str, Array], float]:
    """Activity, the gradients dW, db, dM, and the loss of one layer."""
    z = a @ w.T + b
    out = relu(z)
    e = (softmax(out @ m.T) - one_hot(Y, C)) / B
    dz = (e @ m) * (z > 0)
    return out, {"dW": dz.T @ a, "db": dz.sum(0), "dM": e.T @ out}, cross_entropy(out @ m.T, Y)


def by_hand(before: dict[str, Array], depth: int) -> tuple[list[dict[str, Array]], list[float]]:
    a, grads, losses = X, [], []
    for k in range(depth):
        names = (f"blocks.{k}.1.weight", f"blocks.{k}.1.bias", f"heads.{k}.weight")
        a, grad, loss = layer(a, *(before[name] for name in names))
        grads.append(grad)
        losses.append(loss)
    return grads, losses


@pytest.mark.parametrize("k", range(3))
def test_update_is_the_hand_gradient(k: int):
    """One step of SGD equals dW, db, dM of every layer, each fed the activity from before the step."""
    before, moved, _ = one_step("mono-forward", X, Y, hidden=(6, 5, 4))
    grad = by_hand(before, 3)[0][k]
    np.testing.assert_allclose(moved[f"blocks.{k}.1.weight"], grad["dW"], **CLOSE)
    np.testing.assert_allclose(moved[f"blocks.{k}.1.bias"], grad["db"], **CLOSE)
    np.testing.assert_allclose(moved[f"heads.{k}.weight"], grad["dM"], **CLOSE)


def test_loss_is_the_mean_cross_entropy_of_the_local_scores():
    before, _, losses = one_step("mono-forward", X, Y, hidden=(6, 5, 4))
    expected = by_hand(before, 3)[1]
    np.testing.assert_allclose([losses[str(k)] for k in range(3)], expected, **CLOSE)


@pytest.mark.parametrize("schedule", ["simultaneous", "sequential", "joint"])
def test_m0_is_a_linear_classifier_of_the_raw_input(schedule: str):
    before, moved, _ = one_step("mono-forward", X, Y, hidden=(6, 5), train_m0=True, schedule=schedule)
    e = (softmax(X @ before["input_head.weight"].T) - one_hot(Y, C)) / B
    np.testing.assert_allclose(moved["input_head.weight"], e.T @ X, **CLOSE)


def test_m0_influences_no_layer():
    _, with_m0, _ = one_step("mono-forward", X, Y, hidden=(6, 5), train_m0=True)
    before, _, _ = one_step("mono-forward", X, Y, hidden=(6, 5), train_m0=True)
    grads, _ = by_hand(before, 2)
    np.testing.assert_allclose(with_m0["blocks.0.1.weight"], grads[0]["dW"], **CLOSE)


def test_joint_descends_the_sum_of_all_losses_through_the_whole_net():
    """The chain rule through two layers: the first also gets what the second's loss hands down."""
    before, moved, losses = one_step("mono-forward", X, Y, hidden=(6, 5), schedule="joint")
    w = [before[f"blocks.{k}.1.weight"] for k in range(2)]
    b = [before[f"blocks.{k}.1.bias"] for k in range(2)]
    m = [before[f"heads.{k}.weight"] for k in range(2)]
    z0 = X @ w[0].T + b[0]
    z1 = relu(z0) @ w[1].T + b[1]
    e0, e1 = ((softmax(relu(z) @ head.T) - one_hot(Y, C)) / B for z, head in zip((z0, z1), m, strict=True))
    d1 = (e1 @ m[1]) * (z1 > 0)
    d0 = (e0 @ m[0] + d1 @ w[1]) * (z0 > 0)
    expected = {"blocks.1.1.weight": d1.T @ relu(z0), "blocks.0.1.weight": d0.T @ X, "blocks.0.1.bias": d0.sum(0)}
    expected |= {"heads.0.weight": e0.T @ relu(z0), "heads.1.weight": e1.T @ relu(z1)}
    for name, grad in expected.items():
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)
    assert losses["None"] == pytest.approx(sum(by_hand(before, 2)[1]), abs=1e-12)


def test_sequential_trains_the_next_layer_on_the_trained_one():
    """Two phases of one step each: the second layer's gradient is taken at the first layer's final activity."""
    before, moved, _ = one_step("mono-forward", X, Y, hidden=(6, 5), schedule="sequential")
    first = by_hand(before, 1)[0][0]
    w0 = before["blocks.0.1.weight"] - first["dW"]
    b0 = before["blocks.0.1.bias"] - first["db"]
    a0 = relu(X @ w0.T + b0)
    names = ("blocks.1.1.weight", "blocks.1.1.bias", "heads.1.weight")
    _, second, _ = layer(a0, *(before[name] for name in names))
    np.testing.assert_allclose(moved["blocks.0.1.weight"], first["dW"], **CLOSE)
    np.testing.assert_allclose(moved["blocks.1.1.weight"], second["dW"], **CLOSE)
    np.testing.assert_allclose(moved["heads.1.weight"], second["dM"], **CLOSE)


@pytest.mark.parametrize("m0", [False, True])
@pytest.mark.parametrize("readout", ["last", "sum"])
def test_prediction_is_the_scores_of_the_last_layer_or_of_all(readout: str, m0: bool):
    """M_0 has no part in it: the paper sums over the layers 1 to L."""
    trainer = make("mono-forward", hidden=(6, 5), readout=readout, train_m0=m0)
    loop = loop_of(trainer, data_of(X, Y), precision="fp64")
    v = values_of(loop.trainer)
    a0 = relu(X @ v["blocks.0.1.weight"].T + v["blocks.0.1.bias"])
    a1 = relu(a0 @ v["blocks.1.1.weight"].T + v["blocks.1.1.bias"])
    last, first = a1 @ v["heads.1.weight"].T, a0 @ v["heads.0.weight"].T
    with torch.no_grad():
        scores = loop.trainer.predict(next(loop.data.val.batches(B))).numpy()
    np.testing.assert_allclose(scores, last if readout == "last" else last + first, **CLOSE)


def test_a_cached_prefix_trains_like_a_recomputed_one():
    """To rounding: a product over more rows at a time may sum in another order."""
    values = {"hidden": (33, 17, 9), "schedule": "sequential", "epochs": 2, "batch_size": 16}
    cached, recomputed = (
        fit("mono-forward", tiny(60), {"cache_mb": mb, "precision": "fp64"}, **values) for mb in (4096, 0)
    )
    assert cached.prefixes == {"block 0": "none", "block 1": "cached", "block 2": "cached"}
    assert recomputed.prefixes == {"block 0": "none", "block 1": "recomputed", "block 2": "recomputed"}
    assert (cached.data_passes, recomputed.data_passes) == (3 * 2 + 2, 3 * 2)  # a cache is filled in a pass of its own
    a, b = values_of(cached.trainer), values_of(recomputed.trainer)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-11, err_msg=name)
