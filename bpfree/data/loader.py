"""torch's DataLoader as a source of batches, and its Dataset as rows."""

from collections.abc import Generator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from bpfree.data import verification
from bpfree.data.rows import Rows, unit
from bpfree.errors import InputError
from bpfree.training.batch import Batch
from bpfree.training.data import Pass, Source, move


class LoaderSource(Source):
    """Split read from a DataLoader, which decides on order, batch size and transforms.

    A pass therefore ignores its batch size, order and generator, gives no row numbers, and reaches batch ``start``
    by reading and dropping the ones before it, so a run resumed within an epoch is exact only if the loader is.

    Args:
        loader: of pairs (x, y), with a length.
        name: of the split, for messages.
        rows: one of its batches, raw, whose shape and type all batches must have.
        classes: number of classes, or None when not known yet.
        device: of the batches.
    """

    fixed, ordered = False, False
    y = None

    def __init__(
        self,
        loader: DataLoader,
        name: str,
        rows: Rows,
        classes: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.loader, self.name, self.rows, self.classes = loader, name, rows, classes
        self.shape, self.normalise = rows.shape, unit(rows)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.loader.dataset)  # type: ignore[arg-type]

    def to(self, device: torch.device | str, resident_mb: float) -> "LoaderSource":
        # never resident: each pass reads the loader anew
        return LoaderSource(self.loader, self.name, self.rows, self.classes, device)

    def steps(self, batch_size: int) -> int:
        return len(self.loader)

    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        if over.shard[1] > 1:
            raise InputError("a DataLoader cannot be shared out over processes: give its dataset instead")
        return self._produce(over.start)

    def _produce(self, start: int) -> Generator[Batch, None, None]:
        for item in islice(self.loader, start, None):
            x, y = pair(item, f"a batch of the {self.name} loader")
            x = verification.examples(x, f"x of the {self.name} loader")
            y = verification.labels(y, len(x), f"y of the {self.name} loader", self.classes)
            if (tuple(x.shape[1:]), x.dtype) != (self.shape, self.rows.dtype):
                raise InputError(
                    f"the {self.name} loader gives {x.dtype} of shape {tuple(x.shape[1:])} after {self.rows.dtype} of "
                    f"{self.shape}: expected the same"
                )
            yield Batch(move(self.normalise(x), self.device), move(y, self.device), span=(0, len(x)))


class DatasetRows(Rows):
    """Rows of a map-style Dataset, read when they are gathered.

    One thread reads, since the Dataset may not be thread-safe; the rows are not fixed, since it may hold random
    transforms.
    """

    workers, fixed = 1, False

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        x, _ = read(dataset, 0)
        self.shape, self.dtype = tuple(x.shape), x.dtype

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def gather(self, index: Tensor) -> Tensor:
        out = torch.empty((len(index), *self.shape), dtype=self.dtype)
        for i, row in enumerate(index.tolist()):
            out[i] = _like(read(self.dataset, row)[0], row, self.shape, self.dtype)
        return verification.examples(out, "a batch of the dataset")


def stack(dataset: Dataset) -> tuple[Any, Any]:
    """Read all examples and labels of a map-style Dataset, each row once."""
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        return dataset.tensors
    first, _ = read(dataset, 0)
    xs = torch.empty((len(dataset), *first.shape), dtype=first.dtype)  # type: ignore[arg-type]
    ys = []
    for row in range(len(xs)):
        x, y = read(dataset, row)
        xs[row] = _like(x, row, tuple(first.shape), first.dtype)
        ys.append(y)
    return xs, ys


def known_labels(dataset: Any) -> Any:
    """Labels that a Dataset states without reading its examples, else None."""
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        return dataset.tensors[1]
    if isinstance(dataset, Subset):
        whole = known_labels(dataset.dataset)
        return None if whole is None else torch.as_tensor(whole)[torch.as_tensor(dataset.indices)]
    return None if getattr(dataset, "target_transform", None) else getattr(dataset, "targets", None)


def pair(item: Any, name: str) -> tuple[Any, Any]:
    """Check that an item of a Dataset or DataLoader is a pair.

    Args:
        item: any value.
        name: for the message.

    Returns:
        Example and label.

    Raises:
        InputError: not a sequence of two.
    """
    if isinstance(item, Sequence) and len(item) == 2:
        return item[0], item[1]
    raise InputError(f"{name} is not a pair (x, y): expected one example and its label")


def read(dataset: Dataset, row: int) -> tuple[Tensor, Any]:
    """Read one row of a Dataset.

    Args:
        dataset: map-style, of pairs (x, y).
        row: its number.

    Returns:
        Example as a tensor, and label as a number where it is one.

    Raises:
        InputError: no pair, or an example that is not a tensor or array.
    """
    x, y = pair(dataset[row], f"dataset row {row}")
    if isinstance(x, np.ndarray):
        x = torch.as_tensor(x)
    if not isinstance(x, Tensor):
        raise InputError(
            f"x of dataset row {row} is a {type(x).__name__}: expected a tensor or array (give the dataset a transform)"
        )
    return x, y.item() if isinstance(y, Tensor) and y.numel() == 1 else y


def _like(x: Tensor, row: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Check that an example has the shape and type of the first one."""
    if tuple(x.shape) != shape or x.dtype != dtype:
        raise InputError(
            f"dataset row {row} is {x.dtype} of shape {tuple(x.shape)} but row 0 {dtype} of {shape}: expected the same"
        )
    return x
