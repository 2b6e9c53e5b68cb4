"""How a net is asked for a prediction: in evaluation mode, without gradients, in the precision of its run."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bpfree.training.batch import Batch

Precision = Literal["fp32", "bf16", "fp64"]


@contextlib.contextmanager
def evaluating(net: nn.Module, device: torch.device, precision: Precision) -> Iterator[None]:
    """Evaluation mode inside, no gradients; outside every module is in its own mode again."""
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
    """Inside, products are in bfloat16 if the run's are."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def without_targets(batch: Batch, precision: Precision) -> Batch:
    """The batch as `Trainer.predict` gets it: without the answers."""
    return in_precision(dataclasses.replace(batch, y=None), precision)


def in_precision(batch: Batch, precision: Precision) -> Batch:
    """The batch in double precision if the run is."""
    return dataclasses.replace(batch, x=_double(batch.x), y=_double(batch.y)) if precision == "fp64" else batch


def _double(value: Any) -> Any:
    """Floating tensors in double precision; classes, None and all else as they are."""
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
