"""Backpropagation in less memory: the same training, fewer live bytes, and nets for which that cannot be."""

import numpy as np
import pytest
import torch
from small import digits, fit, loop_of, make, on_graph, outcome, ready, tiny
from torch import nn

from bpfree import InputError
from bpfree.training.memory import LiveMemory
from bpfree.training.trainer import Trainer

ROWS, WIDTH, DEPTH = 1024, 16, 16  # wide batches: gradients are small beside activations
ACTIVATION = ROWS * WIDTH * 4  # bytes of a layer's output, which waits for backward


def peak(**values: object) -> int:
    """Bytes of a second step of a deep net."""
    loop = loop_of(make("backprop", hidden=(WIDTH,) * DEPTH, batch_size=ROWS, **values), digits(ROWS, 1, 1, pool=4))
    batch = ready(loop)
    loop.learn(batch)
    with LiveMemory() as memory:
        loop.learn(batch)
    return memory.peak


def test_micro_batches_leave_their_share_of_the_activations():
    """Three quarters of those that wait for backward, and of the two or three that are made on the way down."""
    saved = peak() - peak(accumulate=4)
    assert 3 / 4 * DEPTH <= saved / ACTIVATION <= 3 / 4 * (DEPTH + 3)


def test_segments_keep_the_activations_between_them():
    """Of sixteen hidden layers and a classifier, segments of four: of sixteen activations that wait for backward, at
    most the four between segments and three within one remain."""
    saved = peak() - peak(checkpointing=True)
    assert saved >= (DEPTH - 4 - 3) * ACTIVATION


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_activations_computed_twice_change_nothing(norm: str):
    """Dropout draws the same masks, and batch normalisation counts a batch once, to the last bit."""

    def blocks() -> list[nn.Module]:
        torch.manual_seed(5)
        norms = [nn.BatchNorm2d(c) if norm == "batch" else nn.Identity() for c in (4, 6)]
        first = nn.Sequential(nn.Conv2d(1, 4, 3), norms[0], nn.ReLU(), nn.Dropout(0.4))
        second = nn.Sequential(nn.Conv2d(4, 6, 3), norms[1], nn.ReLU(), nn.Dropout(0.4))
        return [first, second, nn.Sequential(nn.Flatten(), nn.Dropout(0.4), nn.LazyLinear(10))]

    def trained(**values: object) -> dict:
        made = blocks()
        nn.Sequential(*made)(torch.zeros(2, 1, 7, 7))
        trainer = make("backprop", blocks=made, epochs=3, batch_size=8, **values)
        loop = loop_of(trainer, tiny())
        loop.run()
        return outcome(loop)

    plain, twice = trained(), trained(checkpointing=True)
    for kept in (plain, twice):
        for entry in kept["history"]:
            del entry["dead"]  # of blocks that run twice it is a mean of twice as many values
    assert plain == twice


def test_micro_batches_train_in_bf16_too():
    """The loss of the first batch is that of the whole batch, to the precision of bfloat16 products."""
    values = {"hidden": (16,), "epochs": 1, "batch_size": 22}
    plain, parts = (fit("backprop", tiny(), {"precision": "bf16"}, **values, accumulate=k) for k in (1, 3))
    assert plain.history[0]["loss"]["net"] == pytest.approx(parts.history[0]["loss"]["net"], rel=2**-7)
    assert plain.history[0]["grad_norm"]["net"] == pytest.approx(parts.history[0]["grad_norm"]["net"], rel=2**-6)


class Noisy(nn.Module):
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h + float(self.rng.normal())


def test_nets_that_cannot_be_split_or_repeated_are_refused():
    cnn = {"net": "cnn", "channels": (4, 5), "norm": "batch"}
    with pytest.raises(InputError, match="block 0 takes statistics over it"):
        loop_of(make("backprop", accumulate=2, **cnn), tiny())
    noisy = [nn.Sequential(nn.Flatten(), Noisy(), nn.Linear(49, 12)), nn.Linear(12, 10)]
    with pytest.raises(InputError, match="checkpointing runs block 0 twice, and Noisy would differ"):
        loop_of(make("backprop", blocks=noisy, checkpointing=True), tiny())
    loop_of(make("backprop", blocks=noisy, accumulate=2), tiny())


@pytest.mark.parametrize("values", [{"accumulate": 2}, {"checkpointing": True}], ids=lambda values: next(iter(values)))
def test_graphs_are_refused(values: dict):
    with pytest.raises(InputError, match="digits is a graph"):
        loop_of(make("backprop", net="gnn", hidden=(8,), **values), on_graph(tiny()))


@pytest.mark.parametrize("values", [{}, {"accumulate": 2}, {"checkpointing": True}], ids=str)
def test_net_of_which_nothing_trains_is_refused_in_one_way(values: dict):
    frozen = [nn.Sequential(nn.Flatten(), nn.Linear(49, 12)), nn.Linear(12, 10)]
    for block in frozen:
        block.requires_grad_(False)
    with pytest.raises(InputError, match="nothing can be trained"):
        fit("backprop", tiny(), blocks=frozen, epochs=1, **values)


def test_rule_that_compares_rows_is_refused():
    base: type[Trainer] = type(make("backprop", blocks=[nn.Linear(1, 1)]))

    class Comparing(base):  # type: ignore[misc, valid-type]
        batch_separable = False

    with pytest.raises(InputError, match="Comparing compares its rows"):
        loop_of(Comparing(accumulate=2, hidden=(8,)), tiny())
