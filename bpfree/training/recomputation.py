"""Activations that are computed again in backward, so that only those between segments of blocks are kept.

Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174: of L blocks, segments of
about sqrt(L) keep about 2 sqrt(L) activations.
"""

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from bpfree.errors import InputError
from bpfree.training.external import UsesExternal
from bpfree.training.trainer import Trainer


def refuse_unrepeatable(trainer: Trainer) -> None:
    """Refuse a net whose blocks do not give the same output twice, or take more than one tensor.

    Raises:
        InputError: the data are a graph, or a block measures a system or draws from a generator of its own.
    """
    if trainer.spec.nodes:
        raise InputError(f"checkpointing runs blocks of one input, and {trainer.spec.name} is a graph: leave it out")
    for k, block in enumerate(trainer.blocks):
        for module in block.modules():
            own = any(isinstance(value, torch.Generator | np.random.Generator) for value in vars(module).values())
            if own or isinstance(module, UsesExternal):
                kind = type(module).__name__
                raise InputError(f"checkpointing runs block {k} twice, and {kind} would differ: leave it out")


def segments(blocks: nn.ModuleList, size: int) -> list[nn.Module]:
    """The blocks in segments whose activations are dropped after the forward pass, but for the last one.

    Backward begins with the last segment, so that its activations would be computed again at once.

    Args:
        blocks: of the net.
        size: blocks of a segment; the last may have fewer.
    """
    *early, last = (nn.Sequential(*blocks[k : k + size]) for k in range(0, len(blocks), size))
    return [*(Recomputed(segment) for segment in early), last]


class Recomputed(nn.Module):
    """A segment whose activations are dropped after the forward pass, and computed again in backward.

    Random draws and buffers are then those of the forward pass: dropout has the same masks, and batch normalisation
    updates its running statistics once. For that a copy of the buffers lives until backward.

    Args:
        segment: the module.
    """

    def __init__(self, segment: nn.Module):
        super().__init__()
        self.segment = segment

    def forward(self, h: Tensor) -> Tensor:
        """The output of the segment for ``h`` ``(B, …)``."""
        before = {name: buffer.clone() for name, buffer in self.segment.named_buffers()}
        passes = itertools.count()

        def run(h: Tensor) -> Tensor:
            forward = next(passes) == 0
            return self.segment(h) if forward else functional_call(self.segment, before, h)

        return checkpoint(run, h, use_reentrant=False)
