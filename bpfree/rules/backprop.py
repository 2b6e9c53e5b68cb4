"""Backpropagation: one global loss, one owner. The baseline.

Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323, 1986. Deep supervision,
the control BP-DS, is after Lee et al., arXiv 1409.5185, in the form that arXiv 2501.09238 compares Mono-Forward to.

    L = CE(f(x), y) + w * sum_k CE(M_k a_k, y),        nothing detached; w = 0 is plain backpropagation
    L = mean (f(x) - y)^2                              for the task regression; for reconstruction y is x
    L = BCE(f(x)_u . f(x)_v, y_uv)                     for the task link-prediction

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
f             ``blocks``, in order    (B, …) -> (B, C)
M_k           ``heads[k]``            (C, n_k), no bias; only with ``deep_supervision``
============  ======================  ==========

Tasks: classification, regression, reconstruction; on graphs classification of nodes and prediction of links.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``; for
reconstruction ``batch.y (B, …)`` -> ``(B, …)``.
On a graph ``batch.x`` holds all nodes, and the scores are of the nodes or pairs that are asked about.
Differences from the paper: w is a setting; weights begin as for every rule on the same net.
Costs: one forward pass a step and a prediction; every activation is kept until backward. The heads are not used at
inference. Two settings take less memory to the same gradient, and more time: ``accumulate`` runs backward on one
micro-batch of B/k rows after another; ``checkpointing`` keeps the activations between segments of about sqrt(L) of the
L blocks (of one with heads), and computes those within a segment again, a second forward pass.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property
from math import isqrt

import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.training.micro_batches import accumulated, refuse_inseparable
from bpfree.training.recomputation import refuse_unrepeatable, segments
from bpfree.training.trainer import Batch, Local, RuleSettings, Trainer

LOSSES: dict[str, Callable[..., Tensor]] = {
    "classification": F.cross_entropy,
    "regression": F.mse_loss,
    "reconstruction": F.mse_loss,
    "node-classification": F.cross_entropy,
    "link-prediction": F.binary_cross_entropy_with_logits,
}


@settings
class Settings(RuleSettings):
    deep_supervision: bool = setting(False, "add a class loss on every hidden block (control BP-DS)")
    auxiliary_weight: float = setting(
        0.3,
        "w, weight of the hidden blocks' losses",
        ge=0,
        search=(0.03, 1.0, "log"),
        search_if={"deep_supervision": True},
    )
    accumulate: int = setting(1, "k, micro-batches of a batch: their gradients add up before the step", ge=1)
    checkpointing: bool = setting(False, "keep activations between segments of blocks, compute the others twice")


class Backprop(Trainer):
    """Global gradient descent on the whole net."""

    Settings = Settings
    tasks = tuple(LOSSES)

    def setup(self) -> None:
        if self.settings.deep_supervision:
            if not self.spec.classes:
                raise InputError(f"deep_supervision needs classes: leave it out for {self.spec.task}")
            self.heads.extend(nn.Linear(n, self.spec.classes, bias=False) for n in self.features[:-1])
        if self.settings.accumulate > 1:
            refuse_inseparable(self)
        if self.settings.checkpointing:
            refuse_unrepeatable(self)

    @cached_property
    def stages(self) -> Sequence[nn.Module]:
        """The blocks, or their segments where activations are computed twice."""
        size = 1 if self.heads else isqrt(len(self.blocks))
        return segments(self.blocks, size) if self.settings.checkpointing else list(self.blocks)

    @property
    def forward_passes(self) -> tuple[int, int]:
        return (2 if self.settings.checkpointing else 1), 1

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        return {"net": list(self.parameters())}

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        yield Local(accumulated(self.loss, batch, self.settings.accumulate), owner="net")

    def loss(self, batch: Batch) -> Tensor:
        """The loss of a batch, a mean over its rows."""
        auxiliary = []
        h = batch.x
        for k, stage in enumerate(self.stages):
            h = batch.through(stage, h)
            if k < len(self.heads):
                auxiliary.append(F.cross_entropy(self.heads[k](batch.read(h).flatten(1)), batch.y))
        loss = LOSSES[self.spec.task](batch.read(h), batch.y)
        return loss + self.settings.auxiliary_weight * sum(auxiliary)

    def predict(self, batch: Batch) -> Tensor:
        return batch.read(batch.after(self.blocks))
