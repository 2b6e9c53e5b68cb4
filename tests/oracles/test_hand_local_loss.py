"""Local losses against the hand gradients of arXiv 1901.06656, in numpy and float64."""

import numpy as np
import pytest
import torch
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import loop_of, make, tiny
from step import arrays, data_of, one_step, values_of

from bpfree.functional.similarity import similarity, summary
from bpfree.rules.local_loss import Head, averaged

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C, BETA = 12, 7, 3, 0.7
X, Y = arrays(B, N, C)
SHARES = {"pred": (1.0, 0.0), "sim": (0.0, 1.0), "predsim": (1 - BETA, BETA)}


def unit(x: Array) -> tuple[Array, Array]:
    """Centred rows of length 1, and the lengths before; a silent row stays zero and has no gradient."""
    centred = x - x.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    length[length == 0] = np.inf
    return centred / length, length


def matching(x: Array, y: np.ndarray) -> tuple[float, Array]:
    """mean (S(x) - S(onehot))^2 and its gradient with respect to ``x``."""
    n, length = unit(x)
    t, _ = unit(one_hot(y, C))
    difference = n @ n.T - t @ t.T
    dn = 4 * difference @ n / B**2  # S is symmetric: each row of n is in a row and in a column of it
    dx = (dn - n * (n * dn).sum(1, keepdims=True)) / length
    return float((difference**2).mean()), dx - dx.mean(1, keepdims=True)


def layer(a: Array, before: dict[str, Array], k: int, loss: str) -> tuple[Array, dict[str, Array], float]:
    """Activity, gradients and loss of one hidden layer."""
    of_prediction, of_similarity = SHARES[loss]
    z = a @ before[f"blocks.{k}.1.weight"].T + before[f"blocks.{k}.1.bias"]
    h, dh, value, grads = relu(z), np.zeros_like(z), 0.0, {}
    if of_prediction:
        v = before[f"heads.{k}.classify.weight"]
        scores = h @ v.T + before[f"heads.{k}.classify.bias"]
        e = of_prediction * (softmax(scores) - one_hot(Y, C)) / B
        grads |= {f"heads.{k}.classify.weight": e.T @ h, f"heads.{k}.classify.bias": e.sum(0)}
        dh, value = dh + e @ v, value + of_prediction * cross_entropy(scores, Y)
    if of_similarity:
        p = before[f"heads.{k}.project.weight"]
        error, dx = matching(h @ p.T, Y)
        grads[f"heads.{k}.project.weight"] = of_similarity * dx.T @ h
        dh, value = dh + of_similarity * dx @ p, value + of_similarity * error
    dz = dh * (z > 0)
    return h, {**grads, f"blocks.{k}.1.weight": dz.T @ a, f"blocks.{k}.1.bias": dz.sum(0)}, value


@pytest.mark.parametrize("loss", SHARES)
def test_update_is_the_hand_gradient(loss: str):
    """One step of SGD, every layer fed the activity from before the step; the class heads start at zero, see below."""
    before, moved, losses = one_step("local-loss", X, Y, hidden=(9, 8), loss=loss, beta=BETA)
    h, expected, values = X, {}, []
    for k in range(2):
        h, grads, value = layer(h, before, k, loss)
        expected |= grads
        values.append(value)
    e = (softmax(h @ before["blocks.2.1.weight"].T + before["blocks.2.1.bias"]) - one_hot(Y, C)) / B
    expected |= {"blocks.2.1.weight": e.T @ h, "blocks.2.1.bias": e.sum(0)}
    assert moved.keys() == expected.keys()
    for name, grad in expected.items():
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)
    np.testing.assert_allclose([losses["0"], losses["1"]], values, **CLOSE)


def test_a_class_head_that_has_learned_drives_its_layer():
    """A new head is zero, so that its layer does not move at first; one that is not hands its error down."""
    sgd = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "lr_schedule": "constant", "epochs": 1, "batch_size": B}
    loop = loop_of(make("local-loss", hidden=(9,), loss="pred", **sgd), data_of(X, Y), precision="fp64")
    assert not values_of(loop.trainer)["heads.0.classify.weight"].any()
    torch.nn.init.normal_(loop.trainer.heads[0].classify.weight)
    before = values_of(loop.trainer)
    loop.run()
    after = values_of(loop.trainer)
    _, grads, _ = layer(X, before, 0, "pred")
    for name, grad in grads.items():
        np.testing.assert_allclose(before[name] - after[name], grad, **CLOSE, err_msg=name)
    assert grads["blocks.0.1.weight"].any()


def test_similarity_of_labels_is_one_or_minus_one_over_the_others():
    found = similarity(torch.from_numpy(one_hot(Y, C))).numpy()
    expected = np.where(Y[:, None] == Y, 1.0, -1 / (C - 1))
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_maps_are_summed_up_by_their_deviation_over_space():
    h = np.random.default_rng(0).normal(size=(2, 5, 3, 4))
    np.testing.assert_allclose(summary(torch.from_numpy(h)).numpy(), h.reshape(2, 5, -1).std(2, ddof=1), **CLOSE)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 6, 1, 1), (2, 6)])
def test_few_channels_and_single_pixels_are_taken_as_they_are(shape: tuple[int, ...]):
    h = torch.rand(shape)
    assert summary(h).equal(h.flatten(1))


def test_silent_samples_have_no_gradient():
    """A layer that says nothing: no length to divide by, no deviation over space."""
    for shape in ((4, 6), (4, 6, 3, 3)):
        h = torch.zeros(shape, requires_grad=True)
        similarity(summary(h)).sum().backward()
        assert h.grad is not None
        assert h.grad.equal(torch.zeros(shape))


def test_class_heads_see_maps_averaged_to_what_they_may_see():
    """128 channels of 32x32: height and width are halved, the longer one first, to 4x8."""
    assert averaged((128, 32, 32), 4096) == (4, 8)
    assert averaged((512, 4, 4), 8192) == (4, 4)
    assert averaged((7,), 4096) == ()
    settings = make("local-loss", head_features=20).settings
    assert Head((5, 6, 6), tiny().spec, settings).classify.in_features == 5 * 2 * 2  # type: ignore[union-attr]


def test_similarity_is_in_full_precision_under_autocast():
    x = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = similarity(x)
    torch.testing.assert_close(found, torch.corrcoef(x), rtol=0, atol=1e-5)
