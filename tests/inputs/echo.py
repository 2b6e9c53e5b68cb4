"""A rule that learns nothing and whose scores are its input, so that a test sees what a prediction reads."""

from collections.abc import Iterator

from torch import Tensor

from bpfree.training.trainer import Batch, Local, Trainer


class Echo(Trainer):
    """Scores of an example of C numbers: these numbers."""

    tasks = ("classification", "reconstruction")

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        """No losses."""
        yield from ()

    def predict(self, batch: Batch) -> Tensor:
        """The input, flat."""
        return batch.x.flatten(1)
