"""Mono-Forward: local class scores train every layer.

Gong, Li, Abdulla, "Mono-Forward: Backpropagation-Free Algorithm for Efficient Neural Network Training Harnessing Local
Errors", arXiv 2501.09238. Each block k projects its activation to class scores and descends its own cross-entropy:

    a_k = relu(W_k a_{k-1} + b_k),   G_k = M_k a_k,   L_k = CE(softmax(G_k), y)

    dL_k/dM_k = E_k^T a_k,   dL_k/dW_k = ((E_k M_k) * 1[a_k > 0])^T a_{k-1},   E_k = (softmax(G_k) - Y) / B

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
W_k, b_k      ``blocks[k]``           (n_k, n_{k-1}), (n_k,)
M_k           ``heads[k]``            (C, n_k), no bias
M_0           ``input_head``          (C, n_0), no bias; only with ``train_m0``
============  ======================  ==========

Tasks: classification; regression, where M_k has a row a target and L_k is the mean squared error.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``.
Differences from the paper: regression is an addition; all layers may train in one sweep (``schedule=simultaneous``, the
default; the paper trains layer by layer, ``sequential``); ``joint`` sums the losses without detaching, the control
MF-Joint; M_0, a linear classifier of the raw input that influences nothing else, is left out unless ``train_m0``; the
best state of each stage is kept.
Costs: one forward pass a step and a prediction; sum_k C·n_k extra parameters, those of the last head used at inference.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.rules.backprop import LOSSES
from bpfree.training.trainer import Batch, Local, Phase, RuleSettings, Trainer


@settings
class Settings(RuleSettings):
    schedule: Literal["simultaneous", "sequential", "joint"] = setting(
        "simultaneous", "all layers in one sweep, one layer after another, or one summed loss through the whole net"
    )
    readout: Literal["last", "sum"] = setting(
        "last", "class scores of the last block, or summed over the blocks; of numbers, their mean"
    )
    train_m0: bool = setting(False, "also train M_0, a linear classifier of the raw input")


class MonoForward(Trainer):
    """Every block descends the cross-entropy of its own class scores."""

    Settings = Settings
    tasks = ("classification", "regression")
    hidden_only = True
    overlap = True
    controls = ("schedule=joint",)  # the same local losses, trained jointly

    @property
    def readouts(self) -> tuple[str, ...]:
        return "last", "sum"

    def setup(self) -> None:
        (outputs,) = self.spec.outputs
        self.loss = LOSSES[self.spec.task]
        self.heads.extend(nn.Linear(n, outputs, bias=False) for n in self.features)
        self.input_head = nn.Linear(prod(self.spec.shape), outputs, bias=False) if self.settings.train_m0 else None

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        owners = super().owners()
        if self.input_head is not None:
            owners["input"] = list(self.input_head.parameters())
        return owners

    def phases(self, epochs: int) -> list[Phase]:
        if self.settings.schedule != "sequential":
            return super().phases(epochs)
        m0 = [] if self.input_head is None else [Phase("input", (), epochs)]
        return [*m0, *Phase.one_by_one(self.blocks, epochs)]

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        if self.settings.schedule == "joint":
            scores = [
                *self.scores(batch.x),
                *([] if self.input_head is None else [self.input_head(batch.x.flatten(1))]),
            ]
            yield Local(torch.stack([self.loss(g, batch.y) for g in scores]).sum(), owner=None)
            return
        if self.input_head is not None and self.phase.name in ("all", "input"):
            yield Local(self.loss(self.input_head(batch.x.flatten(1)), batch.y), owner="input")
        h = batch.x
        for k, block in self.active:
            h = block(h.detach())  # (B, n_k)
            yield Local(self.loss(self.heads[k](h.flatten(1)), batch.y), owner=k)

    def scores(self, h: Tensor) -> Iterator[Tensor]:
        """Class scores ``G_k (B, C)`` of every block trained so far."""
        for k, block in self.trained:
            h = block(h)
            yield self.heads[k](h.flatten(1))

    def predict(self, batch: Batch) -> Tensor:
        if self.input_head is not None and not self.trained:  # the phase in which M_0 trains alone
            return self.input_head(batch.x.flatten(1))
        scores = self.scores(batch.x)
        if self.settings.readout == "sum":
            total = torch.stack(list(scores))
            return total.sum(0) if self.spec.classes else total.mean(0)
        return deque(scores, maxlen=1)[0]
