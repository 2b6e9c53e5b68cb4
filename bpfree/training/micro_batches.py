"""Micro-batches: the gradient of a batch in parts, one after another, so that one part's activations live at a time."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from bpfree.errors import InputError
from bpfree.training import contract
from bpfree.training.batch import Batch
from bpfree.training.trainer import Trainer


def refuse_inseparable(trainer: Trainer) -> None:
    """Refuse a rule, data or net whose loss is no mean over the rows of a batch.

    Raises:
        InputError: the rule says so, the batch is a graph, or a block takes statistics over a batch.
    """
    if not trainer.batch_separable:
        raise InputError(f"accumulate splits a batch, and {type(trainer).__name__} compares its rows: leave it out")
    if trainer.spec.nodes:
        raise InputError(f"accumulate splits a batch into rows, and {trainer.spec.name} is a graph: leave it out")
    for k, block in enumerate(trainer.blocks):
        for module in block.modules():
            if isinstance(module, _NormBase) and (isinstance(module, _BatchNorm) or module.track_running_stats):
                raise InputError(
                    f"accumulate splits a batch, and block {k} takes statistics over it ({type(module).__name__}): "
                    f"leave it out, or choose a net without"
                )


def micro_batches(batch: Batch, count: int) -> list[Batch]:
    """The rows of a batch in parts that differ by a row at most.

    Args:
        batch: of B rows, no graph.
        count: of the parts; where there are fewer rows, each is a part.
    """
    rows = len(batch.x)
    count, (start, total) = min(count, rows), batch.span or (0, rows)
    return [
        dataclasses.replace(
            batch,
            x=batch.x[begin:end],
            y=batch.y[begin:end],
            index=None if batch.index is None else batch.index[begin:end],
            span=(start + begin, total),
        )
        for begin, end in itertools.pairwise(rows * k // count for k in range(count + 1))
    ]


def accumulated(loss: Callable[[Batch], Tensor], batch: Batch, count: int) -> Tensor:
    """The loss of a batch, a mean over its rows, computed in micro-batches.

    On return ``.grad`` holds the gradients of all micro-batches but the last, to which the graph of the result leads.

    Args:
        loss: of a batch, a mean over its rows.
        batch: of B rows.
        count: of the micro-batches.

    Returns:
        A scalar, whose value is the loss of the whole batch.
    """
    if count == 1:
        return loss(batch)
    *parts, last = micro_batches(batch, count)
    value: Tensor | float = 0.0
    for part in parts:
        share = loss(part) * (len(part.x) / len(batch.x))
        if share.requires_grad:  # else the loop refuses the result, as it does for one batch
            with _without_autocast(batch.x.device):
                contract.backward(share, None)
        value = value + share.detach()
        del share  # its graph, before the next one is built
    return loss(last) * (len(last.x) / len(batch.x)) + value


def _without_autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """A rule runs within autocast, where backward does not belong."""
    enabled = torch._C._is_any_autocast_enabled()
    return torch.autocast(device.type, enabled=False) if enabled else contextlib.nullcontext()
