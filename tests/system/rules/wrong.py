"""Rules that break the contract."""

import torch

from bpfree import Local, Trainer
from bpfree.rules.mono_forward import MonoForward


class InsideNoGrad(MonoForward):
    def local_losses(self, batch):
        with torch.no_grad():
            yield Local(batch.x.sum(), owner=0)


class UnknownOwner(MonoForward):
    def local_losses(self, batch):
        for local in super().local_losses(batch):
            yield Local(local.loss, owner="blok")


class Incomplete(Trainer):
    """Nothing is written yet."""


class NanLater(MonoForward):
    """The loss becomes NaN in the second epoch."""

    epoch = 0

    def on_epoch(self):
        self.epoch += 1

    def local_losses(self, batch):
        for local in super().local_losses(batch):
            yield Local(local.loss * (float("nan") if self.epoch else 1.0), local.owner)


class Bug(MonoForward):
    """An ordinary mistake."""

    def local_losses(self, batch):
        yield Local(batch.no_such_attribute, owner=0)
