"""Batch normalisation of blocks that never train: one pass over the training data gives it its statistics.

Every batch of the pass is normalised by itself, and the running statistics become the plain mean over all batches; from
then on they are fixed. All else in the blocks is as at test.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def norms(blocks: nn.Module) -> list[_BatchNorm]:
    """The batch normalisations in ``blocks`` that keep statistics."""
    candidates = (module for module in blocks.modules() if isinstance(module, _BatchNorm))
    return [norm for norm in candidates if norm.track_running_stats]


@torch.no_grad()
def calibrate(blocks: nn.Module, kept: Sequence[_BatchNorm], number: int, run: Callable[[], object]) -> None:
    """Let normalisations see one batch of the pass.

    Args:
        blocks: the net, which is put into evaluation mode.
        kept: the normalisations whose statistics the pass gives.
        number: of the batch, 1, 2, ….
        run: sends the batch through the blocks.
    """
    blocks.eval()
    for norm in kept:
        norm.train()
        norm.momentum = 1 / number
        if number == 1:
            norm.reset_running_stats()
    run()
