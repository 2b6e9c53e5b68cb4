"""Predictions of a net: in evaluation mode, without gradients, in the precision of its run, without the targets."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from bpfree.errors import Diverged
from bpfree.functional.metrics import METRICS
from bpfree.training import contract
from bpfree.training.batch import Batch
from bpfree.training.checkpoint import Cursor
from bpfree.training.distributed import from_first_process

if TYPE_CHECKING:
    from bpfree.training.data import Source
    from bpfree.training.trainer import Trainer

Precision = Literal["fp32", "bf16", "fp64"]


@contextlib.contextmanager
def evaluating(net: nn.Module, device: torch.device, precision: Precision) -> Iterator[None]:
    """Evaluation mode inside, no gradients; outside every module is in its own mode again.

    Args:
        net: the module, with all that it contains.
        device: that it is on.
        precision: of its run.
    """
    training = [module for module in net.modules() if module.training]
    for module in training:  # setting an attribute of a module is slow
        module.training = False
    try:
        with torch.no_grad(), autocast(device, precision):
            yield
    finally:
        for module in training:
            module.training = True


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager:
    """Products in bfloat16 inside, if the run's are."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def without_targets(batch: Batch, precision: Precision) -> Batch:
    """The batch as `Trainer.predict` gets it: ``y`` is None."""
    return in_precision(dataclasses.replace(batch, y=None), precision)


def in_precision(batch: Batch, precision: Precision) -> Batch:
    """The batch in double precision if the run is."""
    return dataclasses.replace(batch, x=_double(batch.x), y=_double(batch.y)) if precision == "fp64" else batch


def _double(value: Any) -> Any:
    """Floating tensors in double precision; classes, None and all else as they are."""
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


class Evaluator:
    """Predictions and metrics of the net of a run, as it stands.

    Args:
        trainer: the rule with its net, built.
        device: that it is on.
        precision: of the run.
        batch_size: samples predicted at a time.
        cursor: of the run, for messages.
    """

    def __init__(
        self, trainer: "Trainer", device: torch.device, precision: Precision, batch_size: int, cursor: Cursor
    ) -> None:
        self.trainer, self.device, self.precision = trainer, device, precision
        self.batch_size, self.cursor = batch_size, cursor

    def mode(self) -> contextlib.AbstractContextManager:
        """The context that predictions are made in."""
        return evaluating(self.trainer, self.device, self.precision)

    def cast(self, batch: Batch) -> Batch:
        """The batch in the precision of the run."""
        return in_precision(batch, self.precision)

    def prepare(self, batch: Batch) -> Batch:
        """The input of the first active block, from the frozen ones below."""
        with self.mode():
            return self.trainer.prepare(batch)

    def predict(self, batch: Batch) -> Tensor:
        """Scores of a batch; the rule does not get its targets. To be called within `mode`."""
        scores = self.trainer.predict(without_targets(batch, self.precision))
        rule, spec = type(self.trainer).__name__, self.trainer.spec
        return contract.checked_scores(rule, scores, len(batch.y), spec, self.trainer.replicas).float()

    def scores(self, source: "Source") -> tuple[Tensor, Tensor]:
        """Predictions ``(N, …)`` and targets ``(N, …)`` of all rows of ``source``.

        Raises:
            Diverged: the predictions hold NaN.
        """
        with self.mode():
            pairs = [(self.predict(batch), batch.y) for batch in source.batches(self.batch_size)]
        scores, targets = (torch.cat(part) for part in zip(*pairs, strict=True))
        if scores.isnan().any():
            raise Diverged(f"predictions hold NaN after {self.cursor.steps} steps of the run: try a smaller --lr")
        return scores, targets

    def evaluate(self, source: "Source") -> float:
        """The task's metric on ``source``; every process evaluates all of it and takes the first one's value."""
        return from_first_process(METRICS[self.trainer.spec.metric](*self.scores(source)).cpu()).item()

    def counted(self, source: "Source") -> Iterator[tuple[int, dict[str, float]]]:
        """For every batch of ``source``, its rows and the operations of one prediction (`Trainer.operations`)."""
        for batch in source.batches(self.batch_size):
            with self.mode():
                counts = self.trainer.operations(self.cast(batch))
            yield len(batch.x), counts
