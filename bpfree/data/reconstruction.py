"""Task ``reconstruction``: the target of an example is the example itself, normalised and augmented."""

import contextlib
from collections.abc import Generator
from dataclasses import replace

import torch

from bpfree.training.batch import Batch
from bpfree.training.data import Data, Pass, Source


class ReconstructionSource(Source):
    """Split whose batches have ``y`` = ``x``, the same tensor.

    Args:
        inputs: source of ``x``; its labels are not used.
    """

    y = None

    def __init__(self, inputs: Source) -> None:
        self.inputs, self.shape, self.fixed = inputs, inputs.shape, inputs.fixed

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str, resident_mb: float) -> "ReconstructionSource":
        return ReconstructionSource(self.inputs.to(device, resident_mb))

    def steps(self, batch_size: int) -> int:
        return self.inputs.steps(batch_size)

    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        return self._produce(self.inputs.visit(over))

    def _produce(self, batches: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        with contextlib.closing(batches):
            for batch in batches:
                batch.y = batch.x
                yield batch


def reconstruction(data: Data) -> Data:
    """Change the task of ``data`` to reconstruction by mean squared error per number, to be minimised."""
    spec = replace(
        data.spec, classes=0, class_names=None, task="reconstruction", metric="mse", maximize=False, targets=0
    )
    test = None if data.test is None else ReconstructionSource(data.test)
    train, val = ReconstructionSource(data.train), ReconstructionSource(data.val)
    return replace(data, spec=spec, train=train, val=val, test=test, target=None)
