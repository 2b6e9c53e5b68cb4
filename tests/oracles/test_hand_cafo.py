"""Cascaded Forward against its closed forms (arXiv 2303.09728) and feedback alignment by hand, in numpy and float64."""

from typing import Any

import numpy as np
import pytest
import torch
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import fit, loop_of, make, snapshot, tiny
from step import arrays, data_of, one_step, values_of
from torch import nn

from bpfree.errors import RunFailed
from bpfree.rules.cafo import Cafo
from bpfree.training.loop import Loop

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 5, 3
X, Y = arrays(B, N, C)
T = one_hot(Y, C)
SGD = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0}
DFA = {"variant": "dfa", "block_epochs": 1, "block_optimizer": "sgd", "block_lr": 1.0}


def features(v: dict[str, Array], depth: int) -> list[Array]:
    """The output of each block of an MLP."""
    h, found = X, []
    for k in range(depth):
        h = relu(h @ v[f"blocks.{k}.1.weight"].T + v[f"blocks.{k}.1.bias"])
        found.append(h)
    return found


def projection(z: Array) -> Array:
    """Sparsemax by its optimality conditions: tau solves sum(max(z - tau, 0)) = 1, found by bisection."""
    low, high = z.max(1, keepdims=True) - 1, z.max(1, keepdims=True)
    for _ in range(60):
        tau = (low + high) / 2
        more = relu(z - tau).sum(1, keepdims=True) > 1
        low, high = np.where(more, tau, low), np.where(more, high, tau)
    return relu(z - tau)


PROBABILITIES = {"ce": softmax, "sparsemax": projection}


def started(**values: Any) -> Loop:
    """A loop whose predictors are not zero, so that every score counts."""
    loop = loop_of(make("cafo", hidden=(6, 4), epochs=1, batch_size=B, **values), data_of(X, Y), precision="fp64")
    for k, head in enumerate(loop.trainer.heads):
        rng = np.random.default_rng(k)
        head.weight.data.copy_(torch.from_numpy(rng.normal(size=tuple(head.weight.shape))))
    return loop


@pytest.mark.parametrize("predictor", PROBABILITIES)
def test_update_is_the_hand_gradient(predictor: str):
    """dW_k = (p(H_k W_k^T) - Y)^T H_k / B for both losses, every predictor on its own."""
    loop = started(predictor=predictor, **SGD)
    before = values_of(loop.trainer)
    loop.run()
    after = values_of(loop.trainer)
    for k, h in enumerate(features(before, 2)):
        w = before[f"heads.{k}.weight"]
        expected = (PROBABILITIES[predictor](h @ w.T) - T).T @ h / B
        np.testing.assert_allclose(w - after[f"heads.{k}.weight"], expected, **CLOSE)


@pytest.mark.parametrize("rows", [B, 60], ids=["fewer rows than features", "more rows than features"])
def test_mse_is_ridge_regression(rows: int):
    """W = (H^T H + lam I)^-1 H^T Y by numpy, with lam a share of the mean diagonal."""
    x, y = arrays(rows, N, C)
    trainer = make("cafo", hidden=(20, 16), predictor="mse", ridge=0.03, batch_size=7)
    loop_of(trainer, data_of(x, y), precision="fp64").run()
    v, h = values_of(trainer), x
    for k in range(2):
        h = relu(h @ v[f"blocks.{k}.1.weight"].T + v[f"blocks.{k}.1.bias"])
        gram = h.T @ h
        lam = 0.03 * np.trace(gram) / h.shape[1]
        expected = np.linalg.solve(gram + lam * np.eye(len(gram)), h.T @ one_hot(y, C)).T
        np.testing.assert_allclose(v[f"heads.{k}.weight"], expected, **CLOSE)


def test_a_singular_system_says_what_to_do():
    """Two equal features, more rows than features, no ridge."""
    x = np.repeat(np.arange(1.0, B + 1)[:, None], 2, axis=1)  # whole numbers: their sums are exact
    trainer = Cafo([nn.Identity()], predictor="mse", ridge=0.0)
    with pytest.raises(RunFailed, match=r"predictor 0 cannot be solved.*larger --ridge than 0"):
        loop_of(trainer, data_of(x, Y)).run()


@pytest.mark.parametrize("predictor", PROBABILITIES)
@pytest.mark.parametrize("readout", ["softmax", "logits"])
def test_prediction_sums_over_the_predictors(predictor: str, readout: str):
    loop = started(predictor=predictor, readout=readout)
    loop.trainer.phase = loop.phases[-1]
    v = values_of(loop.trainer)
    s = [h @ v[f"heads.{k}.weight"].T for k, h in enumerate(features(v, 2))]
    expected = sum(PROBABILITIES[predictor](part) if readout == "softmax" else part for part in s)
    with torch.no_grad():
        scores = loop.trainer.predict(next(loop.data.val.batches(B))).numpy()
    np.testing.assert_allclose(scores, expected, **CLOSE)


def test_feedback_alignment_is_the_hand_gradient():
    """dW_k = ((e B_k) * 1[z_k > 0])^T h_{k-1} below the last block, e = (softmax(A h_L + a) - Y) / B."""
    before, moved, losses = one_step("cafo", X, Y, hidden=(7, 6, 4), **DFA, predictor="mse")
    h = features(before, 3)
    scores = h[2] @ before["aux.weight"].T + before["aux.bias"]
    e = (softmax(scores) - T) / B
    deltas = [e @ before["feedback_0"], e @ before["feedback_1"], e @ before["aux.weight"]]
    for k, (out, below, delta) in enumerate(zip(h, [X, *h], deltas, strict=False)):
        dz = delta * (out > 0)
        np.testing.assert_allclose(moved[f"blocks.{k}.1.weight"], dz.T @ below, **CLOSE)
        np.testing.assert_allclose(moved[f"blocks.{k}.1.bias"], dz.sum(0), **CLOSE)
    np.testing.assert_allclose(moved["aux.weight"], e.T @ h[2], **CLOSE)
    np.testing.assert_allclose(moved["aux.bias"], e.sum(0), **CLOSE)
    assert losses == {"2": pytest.approx(cross_entropy(scores, Y), abs=1e-12)}


def test_feedback_is_fixed_and_its_rows_have_length_1():
    loop = fit("cafo", tiny(), hidden=(12, 11), **{**DFA, "block_lr": 1e-3}, epochs=1)
    other = loop_of(make("cafo", hidden=(12, 11), **DFA), tiny())
    feedback = loop.trainer.feedback_0
    assert feedback.equal(other.trainer.feedback_0)
    torch.testing.assert_close(feedback.norm(dim=1), torch.ones(10))


def norm_blocks() -> list[nn.Module]:
    generator = torch.Generator().manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(n, 4), nn.ReLU(), nn.BatchNorm1d(4)) for n in (N, 4)]
    for block in blocks:
        for p in block[0].parameters():
            p.data = torch.randn(p.shape, generator=generator)
    return blocks


def block(h: Array, v: dict[str, Array], k: int) -> tuple[Array, Array]:
    """relu(W h + b), and the same normalised by the batch."""
    r = relu(h @ v[f"blocks.{k}.0.weight"].T + v[f"blocks.{k}.0.bias"])
    return r, (r - r.mean(0)) / np.sqrt(r.var(0) + 1e-5)


def test_feedback_alignment_goes_through_the_block_s_batch_norm_with_one_update_of_its_statistics():
    """Batch norm backward by hand; running mean 0.1 of the batch's although the block runs twice."""
    loop = loop_of(Cafo(norm_blocks(), **DFA, **SGD, batch_size=B, predictor="mse"), data_of(X, Y), precision="fp64")
    v = values_of(loop.trainer)
    loop.run()
    after = values_of(loop.trainer)
    r0, n0 = block(X, v, 0)
    r1, n1 = block(n0, v, 1)
    e = (softmax(n1 @ v["aux.weight"].T + v["aux.bias"]) - T) / B
    delta = e @ v["feedback_0"]
    dr = (delta - delta.mean(0) - n0 * (delta * n0).mean(0)) / np.sqrt(r0.var(0) + 1e-5)
    np.testing.assert_allclose(v["blocks.0.0.weight"] - after["blocks.0.0.weight"], (dr * (r0 > 0)).T @ X, **CLOSE)
    np.testing.assert_allclose(v["blocks.0.2.weight"] - after["blocks.0.2.weight"], (delta * n0).sum(0), **CLOSE)
    np.testing.assert_allclose(after["blocks.0.2.running_mean"], 0.1 * r0.mean(0), **CLOSE)
    np.testing.assert_allclose(after["blocks.1.2.running_var"], 0.9 + 0.1 * r1.var(0, ddof=1), **CLOSE)
    assert after["blocks.0.2.num_batches_tracked"] == 1


def test_statistics_of_random_blocks_are_the_plain_mean_over_the_batches_of_one_pass():
    """Three batches of four; the second block sees what the first one puts out, normalised by the batch."""
    loop = loop_of(Cafo(norm_blocks(), batch_size=4, epochs=1), data_of(X, Y), precision="fp64")
    v, seen, learn = values_of(loop.trainer), [], loop.learn
    loop.learn = lambda batch: (seen.append(batch.x.numpy()), learn(batch))[1]  # type: ignore[method-assign]
    loop.run()
    found = values_of(loop.trainer)
    first = [block(x, v, 0) for x in seen[:3]]
    second = [block(normalised, v, 1) for _, normalised in first]
    for k, parts in enumerate((first, second)):
        mean, var = (np.mean([f(r) for r, _ in parts], 0) for f in (lambda r: r.mean(0), lambda r: r.var(0, ddof=1)))
        np.testing.assert_allclose(found[f"blocks.{k}.2.running_mean"], mean, **CLOSE)
        np.testing.assert_allclose(found[f"blocks.{k}.2.running_var"], var, **CLOSE)


def test_a_step_runs_the_blocks_as_often_as_the_record_says():
    """Feedback alignment twice; a predictor on cached features not at all."""
    loop = loop_of(make("cafo", hidden=(6, 4), **DFA, epochs=1, batch_size=B), data_of(X, Y), precision="fp64")
    calls: dict[str, int] = {}

    def count(module: nn.Module, inputs: tuple) -> None:
        if len(inputs[0]) == B and loop.windows.name == "train":
            calls[loop.trainer.phase.name] = calls.get(loop.trainer.phase.name, 0) + 1

    loop.trainer.blocks[0].register_forward_pre_hook(count)
    loop.run()
    assert loop.trainer.forward_passes == (2, 1)
    assert (calls["blocks"], calls["predictor 1"]) == (2, 1)  # the one of the predictor fills the cache
    assert loop.prefixes == {"blocks": "none", "predictor 0": "cached", "predictor 1": "cached"}


def test_feedback_alignment_in_bfloat16_moves_every_block():
    """Autocast may keep copies from the pass without a graph. A unit near zero may change sides."""
    moved = []
    for precision in ("fp32", "bf16"):
        trainer = make("cafo", hidden=(32, 32), **DFA, predictor="mse", batch_size=22)
        loop = loop_of(trainer, tiny(), precision=precision)
        before = snapshot(trainer)
        loop.run()
        moved.append({name: p.detach() - before[name] for name, p in trainer.blocks.named_parameters(prefix="blocks")})
    for name, step in moved[0].items():
        assert step.norm() > 0
        assert (moved[1][name] - step).norm() <= 0.2 * step.norm(), name
