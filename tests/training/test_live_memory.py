"""Live memory: what tensors hold, by hand; and what a run says of itself, from the sizes that its rule makes."""

import pytest
import torch
import torch.nn.functional as F
from small import loop_of, make, tiny
from torch import nn

from bpfree.training.memory import LiveMemory
from bpfree.training.trainer import Local, Trainer

KIB = 1024


def test_storages_count_once_as_long_as_they_live():
    before = torch.zeros(256)  # 1 KiB, made outside
    memory = LiveMemory()
    with memory:
        kept = torch.ones(512)
        view = kept[:10].view(2, 5)
        kept.mul_(2)
        before.add_(1)
        sum_ = before + before
        del sum_
    assert (memory.live, memory.peak) == (2 * KIB, 3 * KIB)
    del kept
    assert memory.live == 2 * KIB  # the view holds it
    del view
    assert memory.live == 0


def test_what_was_made_in_an_earlier_block_still_counts_in_a_later_one():
    memory = LiveMemory()
    with memory:
        kept = torch.ones(512)
    outside = torch.ones(4096)
    with memory:
        torch.ones(256)
    assert memory.peak == 3 * KIB
    assert kept.sum() + outside.sum() == 4608


class Hoarder(Trainer):
    """One parameter of ten numbers; step ``k`` of a run makes ``sizes[k]`` KiB, or as many as the last of them."""

    sizes = (1,)

    def setup(self):
        self.blocks.requires_grad_(False)
        self.head = nn.Parameter(torch.zeros(10))
        self.steps = 0

    def owners(self):
        return {"head": [self.head]}

    def local_losses(self, batch):
        hoard = torch.zeros(self.sizes[min(self.steps, len(self.sizes) - 1)] * KIB // 4)
        self.steps += 1
        yield Local(F.mse_loss(self.head, hoard[:10]), "head")

    def predict(self, batch):
        return self.head.expand(len(batch.x), 10)


def peak(trainer: Trainer, rows: int = 22, **options) -> int:
    loop = loop_of(trainer, tiny(rows), **options)
    loop.run()
    return loop.memory.peak


@pytest.mark.parametrize("batch_size", [8, 22])  # three steps an epoch, or one
def test_run_counts_the_second_step(batch_size):
    """The first one makes what stays (the optimizer's state); all later ones are like the second."""

    class Starting(Hoarder):
        sizes = (9000, 1000)

    measured = peak(Starting(batch_size=batch_size, epochs=2))
    assert 1000 * KIB <= measured < 1002 * KIB  # a few tensors of ten numbers beside it


def test_run_counts_what_the_end_of_an_epoch_takes():
    class Solving(Hoarder):
        def on_epoch(self):
            torch.zeros(5000 * KIB // 4)

    assert 5000 * KIB <= peak(Solving(batch_size=8, epochs=1)) < 5002 * KIB


def test_optimizer_state_is_not_working_memory():
    """Adam's two moments are there before the step that counts: only its gradient and temporaries are in it."""

    class Wide(Hoarder):
        def setup(self):
            super().setup()
            self.head = nn.Parameter(torch.zeros(100 * KIB // 4))

        def local_losses(self, batch):
            yield Local(self.head.sum(), "head")

        def predict(self, batch):
            return self.head[:10].expand(len(batch.x), 10)

    for optimizer in ("sgd", "adam"):
        assert 100 * KIB <= peak(Wide(batch_size=8, epochs=1, optimizer=optimizer)) < 102 * KIB


def test_cached_prefix_is_working_memory():
    """Layer by layer, the second layer's inputs, 200 rows of 64 units, stay for the whole phase."""
    values = {"hidden": (64, 2), "batch_size": 2, "epochs": 1, "optimizer": "sgd", "schedule": "sequential"}
    cached, recomputed = (peak(make("mono-forward", **values), rows=200, cache_mb=mb) for mb in (1, 0))
    assert recomputed < 200 * 64 * 4 <= cached


@pytest.mark.parametrize("algo", ["backprop", "mono-forward", "forward-forward", "cafo"])
def test_two_runs_alike_have_the_same_to_the_byte(algo):
    values = {"hidden": (32, 32), "batch_size": 8, "epochs": 2}
    assert peak(make(algo, **values)) == peak(make(algo, **values)) > 0
