"""Raw examples for a rule's own ``predict``: normalised as `fit` did, in evaluation mode, a batch at a time."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.training.batch import Batch
from bpfree.training.evaluation import Precision, evaluating, without_targets

if TYPE_CHECKING:
    from bpfree.training.trainer import Trainer


class Seen(NamedTuple):
    """Data as ``fit`` met them.

    Attributes:
        inputs: `bpfree.data.inputs.input_of` of the data; None: the net gets values as they are.
        device: of the run.
        precision: of the run.
        rows: predicted at a time.
    """

    inputs: Mapping[str, Any] | None
    device: torch.device
    precision: Precision
    rows: int


def taking_examples(predict: "Callable[[Trainer, Batch], Tensor]") -> "Callable[[Trainer, Any], Tensor]":
    """Make a rule's ``predict`` take raw examples as well as a `Batch`.

    Args:
        predict: as the rule defines it.

    Returns:
        The method that takes its place.
    """

    @functools.wraps(predict)
    def predicting(rule: "Trainer", batch: Any) -> Tensor:
        return predict(rule, batch) if isinstance(batch, Batch) else _predicted(rule, batch)

    return predicting


def _predicted(rule: "Trainer", x: Any) -> Tensor:
    """Outputs for raw examples, on the CPU; numbers in their units."""
    from bpfree.data.inputs import in_units, raw_examples

    name = type(rule).__name__
    if rule.fitted_on is None:
        raise InputError(f"{name} has not been trained: call fit first, or bpfree.load(RUN).predict(x)")
    if rule.spec.nodes:
        raise InputError(f"{name} was trained on a graph: give predict a Batch of it, or use bpfree.load(RUN)")
    inputs, device, precision, rows = rule.fitted_on
    parts = raw_examples(x, rule.spec.shape, inputs).split(rows)
    with evaluating(rule, device, precision):
        batches = (without_targets(Batch(part.to(device)), precision) for part in parts)
        return in_units(torch.cat([rule.predict(batch).float().cpu() for batch in batches]), inputs)
