"""Small spike trains whose class is in their timing alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bpfree.data.sources import TensorSource
from bpfree.training.data import Data, Spec

STEPS, CHANNELS, CLASSES = 12, 7, 3
SPEC = Spec("spikes", (STEPS, CHANNELS), CLASSES, None, "classification", "accuracy", True, "", "")


@dataclass
class Spikes:
    """``x (B, T, N)`` 0 or 1, ``y (B,)``, and the same rows as a data set's training, validation and test part."""

    x: Tensor
    y: Tensor

    @property
    def data(self) -> Data:
        parts = [TensorSource(x, y) for x, y in zip(self.x.chunk(3), self.y.chunk(3), strict=True)]
        return Data(SPEC, *parts)


def spikes(rows: int, seed: int = 0) -> Spikes:
    """Every channel fires at a random step, and channel n + 1 follows n after 1, 2 or 3 steps, which is the class."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(rows, STEPS, CHANNELS)
    y = torch.arange(rows) % CLASSES
    for row in range(rows):
        for channel in range(0, CHANNELS - 1, 2):
            first = int(torch.randint(STEPS - 3, (), generator=generator))
            x[row, first, channel] = 1
            x[row, first + 1 + int(y[row]), channel + 1] = 1
    return Spikes(x, y)
