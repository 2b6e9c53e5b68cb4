"""Map-style Datasets: their rows as they are drawn, read again where random transforms change them.

A Dataset is read twice at the start. Rows that stay the same are kept in memory, or, of a set that is too large, read
as they are needed. Rows that differ are drawn anew in every epoch: torch's, numpy's and Python's global random numbers
are seeded by epoch and row around each read, so that the same run sees the same rows, whatever was read before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from bpfree.data import verification
from bpfree.data.chance import borrowed
from bpfree.data.items import Fields, example, is_picture, label
from bpfree.data.rows import Rows
from bpfree.data.settings import OwnSettings
from bpfree.errors import InputError

TWICE = 1000  # rows that are read twice at most
_CHUNK_BYTES = 1 << 20  # of examples that are read at a time


class DatasetRows(Rows):
    """Rows of a map-style Dataset, read when they are gathered.

    One thread reads, since the Dataset may not be thread-safe; the thread that trains, where random numbers are seeded.

    Args:
        dataset: its rows are all alike in shape and type.
        fields: of its items.
        name: of the dataset, for messages.
        varies: a row differs from read to read, unless the random numbers are the same.
        freeze: a row is read under the same random numbers in every epoch.
    """

    def __init__(self, dataset: Any, fields: Fields, name: str, *, varies: bool = False, freeze: bool = False) -> None:
        self.dataset, self.fields, self.name, self.varies, self.freeze = dataset, fields, name, varies, freeze
        self.fixed, self.workers = not varies or freeze, 0 if varies else 1
        with borrowed() as seed:
            seed(0, 0)
            x, _ = self.read(0)
        self.shape, self.dtype = tuple(x.shape), x.dtype

    def __len__(self) -> int:
        return len(self.dataset)

    def gather(self, index: Tensor) -> Tensor:
        return self.draw(index, None)

    def draw(self, index: Tensor, seed: int | None) -> Tensor:
        out, rows = torch.empty((len(index), *self.shape), dtype=self.dtype), index.tolist()
        for place, (x, _) in enumerate(self.seeded(rows, seed or 0) if self.varies else map(self.read, rows)):
            out[place] = self._like(x, rows[place])
        return verification.examples(out, f"a batch of the {self.name}")

    def seeded(self, rows: Sequence[int], seed: int) -> list[tuple[Tensor, Any]]:
        """Examples and labels of ``rows``, each read under random numbers of ``seed`` and row."""
        with borrowed() as reseed:
            return [(reseed(0 if self.freeze else seed, row), self.read(row))[1] for row in rows]

    def read(self, row: int) -> tuple[Tensor, Any]:
        """Example and label of one row."""
        x, y = self.fields.pair(self.dataset[row], f"{self.name} row {row}")
        return example(x, f"x of {self.name} row {row}"), label(y)

    def all(self) -> tuple[Tensor, Any]:
        """Examples ``(N, …)`` and labels of all rows, each as it is read under seed 0."""
        xs = torch.empty((len(self), *self.shape), dtype=self.dtype)
        ys: list[Any] = []
        for part in self.chunks(_CHUNK_BYTES):
            for x, y in self.seeded(range(part.start, part.stop), 0):
                xs[len(ys)] = self._like(x, len(ys))
                ys.append(y)
        return xs, ys

    def labels(self, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Row and label of each of ``rows``."""
        for few in _groups(rows):
            yield from zip(few, (y for _, y in self.seeded(few, 0)))

    def _like(self, x: Tensor, row: int) -> Tensor:
        if tuple(x.shape) != self.shape or x.dtype != self.dtype:
            raise InputError(
                f"{self.name} row {row} is {x.dtype} of shape {tuple(x.shape)} but row 0 {self.dtype} of {self.shape}: "
                f"expected the same"
            )
        return x


class JoinedRows(Rows):
    """Rows of two parts, one after the other, such as those to train on and those to validate on.

    Args:
        first: rows 0 to n - 1.
        second: the others, of the same shape and type.
    """

    def __init__(self, first: Rows, second: Rows) -> None:
        self.first, self.second = first, second
        self.shape, self.dtype, self.counts = first.shape, first.dtype, first.counts
        self.workers, self.fixed = min(first.workers, second.workers), first.fixed and second.fixed

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def gather(self, index: Tensor) -> Tensor:
        out = torch.empty((len(index), *self.shape), dtype=self.dtype)
        later = index >= len(self.first)
        out[~later], out[later] = self.first.gather(index[~later]), self.second.gather(index[later] - len(self.first))
        return out

    def take(self, index: Tensor) -> Rows:
        later = index >= len(self.first)
        if later.all():
            return self.second.take(index - len(self.first))
        return super().take(index) if later.any() else self.first.take(index)


@dataclass(frozen=True)
class Part:
    """One part of a data set as it was read.

    Attributes:
        rows: its examples, read when they are needed; None: ``x`` is all there is.
        x: its examples in memory; None where they are too large.
        y: its labels, one for each row.
        class_names: of the labels 0..C-1, where the dataset declares them.
        notes: lines about what was converted, left out or assumed.
        repeatable: the rows are the same in another process.
    """

    rows: "DatasetRows | None"
    x: Any
    y: Any
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    repeatable: bool = True


def is_map_style(data: Any) -> bool:
    """True for torch's Datasets, and for anything else that has rows by number and is no container of numbers."""
    if isinstance(data, Dataset):
        return True
    plain = (
        isinstance(data, list | tuple | str | bytes | dict) or hasattr(data, "__array__") or hasattr(data, "toarray")
    )
    return not plain and hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__")


def opened(dataset: Any, name: str, settings: OwnSettings) -> DatasetRows:
    """The rows of a Dataset, of which only the first has been read.

    Raises:
        InputError: no rows, or items that are no examples with labels.
    """
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise InputError(
            f"the {name} has no rows to choose from (it is iterable only): give DataLoaders over map-style datasets"
        )
    if len(dataset) == 0:
        raise InputError(f"the {name} is empty: it needs at least one row")
    with borrowed():
        fields = Fields.of(dataset[0], f"{name} row 0", settings.input_field, settings.label_field)
    return DatasetRows(dataset, fields, name)


def read(rows: DatasetRows, settings: OwnSettings, in_memory: bool) -> Part:
    """Read a Dataset: all of it, or, of one that is too large, its labels and a sample of its rows.

    Args:
        rows: as `opened` gives them.
        settings: of the data.
        in_memory: its examples fit into memory.

    Raises:
        InputError: rows of different shapes, or labels that change from read to read.
    """
    notes = list(rows.fields.notes)
    if plain := _tensors(rows):
        return Part(None, *plain, _declared_names(rows), tuple(notes))
    x: Tensor | None = None
    if in_memory:
        x, y = rows.all()
    else:
        y = _labels(rows)
    sample = _spread(len(rows))
    differ, repeatable = _differs(rows, sample, x, y)
    if is_picture(_raw_example(rows)):
        notes.append(f"pictures of the {rows.name} are read as bytes {rows.shape}, channels first")
    if differ and settings.freeze:
        notes.append(f"the {rows.name} has random transforms: frozen, each row as it was read first")
    elif differ:
        notes.append(
            f"the {rows.name} gives a row anew at each read (random transforms): rows are drawn again in every epoch, "
            f"under a seed of epoch and row; freeze keeps the first reading"
        )
    elif len(sample) < len(rows):
        notes.append(f"{len(sample)} of {len(rows)} rows of the {rows.name} were read twice, alike: taken as fixed")
    if not repeatable:
        notes.append(
            f"the {rows.name} draws from random numbers of its own, not from torch's, numpy's or Python's global ones: "
            f"no run on it can be repeated exactly"
        )
    kept = DatasetRows(rows.dataset, rows.fields, rows.name, varies=differ, freeze=settings.freeze)
    stays = in_memory and kept.fixed
    return Part(None if stays else kept, x, y, _declared_names(rows), tuple(notes), repeatable or stays)


def _tensors(rows: DatasetRows) -> tuple[Tensor, Tensor] | None:
    """Tensors of a plain TensorDataset, which are what its rows are made of."""
    dataset = rows.dataset
    if isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__:
        return dataset.tensors[int(rows.fields.input)], dataset.tensors[int(rows.fields.label)]
    return None


def _spread(n: int) -> list[int]:
    """Rows that are read twice: all, or some at equal distances."""
    return list(range(n)) if n <= TWICE else [row * n // TWICE for row in range(TWICE)]


def _differs(rows: DatasetRows, sample: Sequence[int], x: Tensor | None, y: Any) -> tuple[bool, bool]:
    """Compare two readings: do examples differ under other random numbers, and are they alike under the same ones.

    Args:
        rows: of the dataset.
        sample: rows to compare.
        x: examples of all rows as they were read under seed 0; None: they are not in memory.
        y: labels of all rows, likewise.
    """
    differ, repeatable = False, True
    for few in _groups(sample):
        before = rows.seeded(few, 0) if x is None else [(x[row], y[row]) for row in few]
        for row, (x_0, y_0), (x_1, y_1) in zip(few, before, rows.seeded(few, 1), strict=True):
            if not np.array_equal(np.asarray(y_0), np.asarray(y_1)):
                raise InputError(
                    f"{rows.name} row {row} has label {y_0}, then {y_1}: labels must be the same at each read"
                )
            if not _equal(x_0, x_1):
                differ = True
                ((again, _),) = rows.seeded([row], 0)
                repeatable &= _equal(x_0, again)
    return differ, repeatable


def _groups(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """A few rows at a time, so that their examples need little memory."""
    return (rows[begin : begin + 20] for begin in range(0, len(rows), 20))


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)


def _raw_example(rows: DatasetRows) -> Any:
    with borrowed():
        return rows.fields.pair(rows.dataset[0], f"{rows.name} row 0")[0]


def _labels(rows: DatasetRows) -> Any:
    """Labels of all rows: those that the Dataset states, where they are what its rows say, else those of its rows."""
    stated = getattr(rows.dataset, "targets", None)
    if stated is not None and len(stated) == len(rows):
        sample = _spread(len(rows))
        if all(np.array_equal(np.asarray(label(stated[row])), np.asarray(y)) for row, y in rows.labels(sample)):
            return stated
    return [y for _, y in rows.labels(range(len(rows)))]


def _declared_names(rows: DatasetRows) -> tuple[str, ...] | None:
    """Names of the classes 0..C-1, as the columns of Hugging Face's datasets declare them."""
    columns: Any = getattr(rows.dataset, "features", None)
    names = getattr(columns.get(rows.fields.label), "names", None) if hasattr(columns, "get") else None
    return None if names is None else tuple(map(str, names))
