"""Gradient noise against a hand-worked net, the theory of a random walk, and single nets, in float64."""

import math

import numpy as np
import pytest
import torch
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import loop_of, make, tiny
from step import arrays, one_step

import bpfree
from bpfree.errors import InputError
from bpfree.training.loop import Loop

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C, R = 12, 7, 3, 3
X, Y = arrays(B, N, C)
QUIET = {"clip": None, "noise_eta": None}
TWIN = {"hidden": (12, 11), "init": "he", "epochs": 2, "batch_size": 8}


def by_hand(w0: Array, b0: Array, w1: Array, b1: Array) -> tuple[list[Array], float]:
    """Gradients and loss of CE(W1 relu(W0 x + b0) + b1)."""
    z0 = X @ w0.T + b0
    a0 = relu(z0)
    out = a0 @ w1.T + b1
    e = (softmax(out) - one_hot(Y, C)) / B
    d0 = (e @ w1) * (z0 > 0)
    return [d0.T @ X, d0.sum(0), e.T @ a0, e.sum(0)], cross_entropy(out, Y)


def norm(grads: list[Array]) -> float:
    return math.sqrt(sum((g**2).sum() for g in grads))


@pytest.mark.parametrize("share", [0.3, 3.0], ids=["clipped", "not clipped"])
def test_update_is_the_clipped_hand_gradient(share: float):
    """At a limit of ``share`` times its norm the gradient is scaled by min(1, share)."""
    before, _, _ = one_step("gradient-noise", X, Y, hidden=(6,), **QUIET)
    grads, _ = by_hand(*before.values())
    again, moved, _ = one_step("gradient-noise", X, Y, hidden=(6,), clip=share * norm(grads), noise_eta=None)
    assert all((again[name] == before[name]).all() for name in before)
    for found, grad in zip(moved.values(), grads, strict=True):
        np.testing.assert_allclose(found, min(1.0, share) * grad, **CLOSE)


def test_noise_comes_after_the_clip():
    """However small the limit, the noise of the first step has deviation sqrt(eta) = 0.1: 6,000 draws, four sigma."""
    _, moved, _ = one_step("gradient-noise", X, Y, hidden=(600,), clip=1e-6, noise_eta=0.01)
    draws = np.concatenate([m.ravel() for m in moved.values()])
    assert len(draws) > 6_000
    assert draws.std() == pytest.approx(0.1, rel=4 / math.sqrt(2 * len(draws)))


def test_every_replica_moves_by_its_own_clipped_hand_gradient():
    values = {"net": "replicated-mlp", "replicas": R, "hidden": (6,)}
    before, _, _ = one_step("gradient-noise", X, Y, **values, **QUIET)

    def replica(found: dict[str, Array], r: int) -> list[Array]:
        """W0, b0, W1, b1 of one net."""
        return [value.reshape(R, -1, *value.shape[2:])[r] for value in found.values()]

    limit = norm(by_hand(*replica(before, 0))[0]) / 2
    _, moved, losses = one_step("gradient-noise", X, Y, **values, clip=limit, noise_eta=None)
    hand = [by_hand(*replica(before, r)) for r in range(R)]
    assert losses["net"] == pytest.approx(sum(loss for _, loss in hand), abs=1e-12)
    for r, (grads, _) in enumerate(hand):
        for found, grad in zip(replica(moved, r), grads, strict=True):
            np.testing.assert_allclose(found, grad * min(1.0, limit / norm(grads)), **CLOSE)


def replicated(**values) -> Loop:
    return loop_of(
        make("gradient-noise", net="replicated-mlp", replicas=R, **{**TWIN, **values}), tiny(), precision="fp64"
    )


@pytest.mark.parametrize("r", range(R))
def test_a_replica_is_a_single_run_with_its_weights_and_stream(r: int):
    """Six steps on the same batches, within rounding; the scores too."""
    together = replicated()
    alone = loop_of(make("gradient-noise", **TWIN), tiny(), precision="fp64")
    trainer = together.trainer
    for mine, theirs in zip(alone.trainer.parameters(), trainer.parameters(), strict=True):
        mine.data.copy_(theirs.detach().unflatten(0, (R, -1))[r].view_as(mine))
    noise = alone.learner.owners["net"].transforms[1]
    noise.generators = [trainer.streams.generator("gradient noise", "all", "net", r)]
    together.run()
    alone.run()
    batch = next(alone.data.test.batches(16))
    batch.x = batch.x.double()
    assert torch.allclose(trainer.scores(batch)[:, r], alone.trainer.predict(batch), rtol=0, atol=1e-12)
    for mine, theirs in zip(alone.trainer.parameters(), trainer.parameters(), strict=True):
        assert torch.allclose(mine, theirs.unflatten(0, (R, -1))[r].view_as(mine), rtol=0, atol=1e-12)


def test_replica_zero_is_the_plain_net_under_the_same_seed():
    together, alone = replicated(), loop_of(make("gradient-noise", **TWIN), tiny(), precision="fp64")
    together.run()
    alone.run()
    for mine, theirs in zip(alone.trainer.parameters(), together.trainer.parameters(), strict=True):
        assert torch.allclose(mine, theirs.unflatten(0, (R, -1))[0].view_as(mine), rtol=0, atol=1e-12)


def test_a_run_knows_every_replica_and_predicts_with_one(tmp_path):
    """The record holds the accuracy of each and their mean; a class for an image needs a choice."""
    values = {**TWIN, "net": "replicated-mlp", "replicas": R}
    data = tiny()
    record = bpfree.train("gradient-noise", data, out=tmp_path / "run", threads=1, meter="none", **values)
    result = record["result"]
    each = [result["readouts"][str(r)] for r in range(R)]
    assert result["readouts"].keys() == {"mean", "0", "1", "2"}
    assert len(set(each)) > 1
    assert result["test"] == result["readouts"]["mean"] == pytest.approx(sum(each) / R, abs=1e-12)
    with pytest.raises(InputError, match="this run holds 3 nets: choose one of them"):
        bpfree.load(tmp_path / "run").classes(data.test.x)
    one = bpfree.load(tmp_path / "run", readout="1").classes(data.test.x)
    assert sum(map(int, one)) > 0
    assert sum(int(c) == y for c, y in zip(one, data.test.y.tolist(), strict=True)) / len(one) == each[1]


def test_weights_that_begin_at_zero_walk_as_theory_says():
    """Var W = lr^2 eta sum (1+t)^-gamma, before any signal passes 8 layers: 7,500 weights, four sigma."""
    epochs, steps = 50, 150
    values = {"hidden": (50,) * 8, "init": "zero", "epochs": epochs, "batch_size": 8, "replicas": 3}
    values["lr_schedule"] = "constant"
    loop = loop_of(make("gradient-noise", net="replicated-mlp", **values), tiny())
    history = loop.run()
    exact = 0.1 * math.sqrt(0.01 * (np.arange(1, steps + 1) ** -0.55).sum())
    found = history[-1]["weight_std"]
    assert found["measured"] == pytest.approx(exact, rel=4 / math.sqrt(2 * 7_500))
    assert found["walk"] == pytest.approx(0.1 * math.sqrt(0.01 * steps**0.45 / 0.45), rel=1e-12)


def test_without_noise_zero_weights_stay_zero():
    """The gradient of everything but the top bias is exactly zero; that one's is, where the classes are balanced."""
    _, moved, _ = one_step(
        "gradient-noise", X, np.minimum(Y, np.arange(B) % 2), hidden=(6, 6), init="zero", noise_eta=None
    )
    assert [name for name, change in moved.items() if change.any()] == ["blocks.2.1.bias"]


def test_a_walk_is_told_only_where_the_formula_holds():
    loop = loop_of(make("gradient-noise", **TWIN, momentum=0.9), tiny())
    assert loop.run()[-1]["weight_std"].keys() == {"measured"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"readout": "3"}, "readout = 3 is not valid: choose from mean, 0, 1, 2"),
        ({"centralise": True}, "centralise does not know replicas"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(values: dict, message: str):
    with pytest.raises(InputError, match=message):
        replicated(**values)
