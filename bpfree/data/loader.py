"""torch's DataLoader as a source of batches."""

import contextlib
import copy
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from bpfree.data import verification
from bpfree.data.chance import borrowed
from bpfree.data.items import Fields, example, label
from bpfree.data.labels import Labels, check_rows, read_labels
from bpfree.data.rows import ArrayRows, unit
from bpfree.data.settings import OwnSettings
from bpfree.errors import InputError
from bpfree.training.batch import Batch
from bpfree.training.data import Pass, Source, move


class LoaderSource(Source):
    """Split read from a DataLoader, which decides on order, batch size and transforms.

    It is read once when it is made, so that its rows, batches and labels are those that it draws, whatever its dataset
    says of itself. A pass ignores its batch size, order and generator, gives no row numbers, and reaches batch
    ``start`` by reading and dropping the ones before it, so a run resumed within an epoch is exact only if the loader
    is.

    Args:
        loader: of batches (x, y).
        name: of the split, for messages.
        input_field: field of a batch with the examples, as for `Fields.of`.
        label_field: field of a batch with the labels.

    Attributes:
        rows: its first batch, raw, whose shape and type all batches must have.
        labels: of all rows that one pass draws, as its batches give them.
        classes: labels as text in the order of their classes, set by the caller.
    """

    fixed, ordered = False, False
    y = None
    classes: tuple[str, ...]

    def __init__(
        self, loader: DataLoader, name: str, input_field: str | None = None, label_field: str | None = None
    ) -> None:
        self.loader, self.name, self.device = loader, name, torch.device("cpu")
        self.labels, self.batches_of_a_pass, first = [], 0, None
        with _as_before(loader):
            for item in loader:
                if first is None:
                    self.fields = Fields.of(item, f"a batch of the {name} loader", input_field, label_field)
                x, y = self.fields.pair(item, f"a batch of the {name} loader")
                first = x if first is None else first
                self.labels += _labels(y).tolist()
                self.batches_of_a_pass += 1
        if first is None:
            raise InputError(f"the {name} loader is empty: it needs at least one batch")
        self.rows = ArrayRows(verification.examples(example(first, self._x), self._x))
        self.shape, self.normalise = self.rows.shape, unit(self.rows)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def notes(self) -> list[str]:
        """Lines about what is assumed and what is left out."""
        notes, stated = list(self.fields.notes), len(self.loader.dataset)  # type: ignore[arg-type]
        if len(self) != stated:
            notes.append(f"the {self.name} loader draws {len(self)} rows a pass of a dataset of {stated}")
        return notes

    def to(self, device: torch.device | str, resident_mb: float) -> "LoaderSource":
        # never resident: each pass reads the loader anew
        moved = copy.copy(self)
        moved.device = torch.device(device)
        return moved

    def steps(self, batch_size: int) -> int:
        return self.batches_of_a_pass

    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        if over.shard[1] > 1:
            raise InputError("a DataLoader cannot be shared out over processes: give its dataset instead")
        return self._produce(over.start)

    def _produce(self, start: int) -> Generator[Batch, None, None]:
        for item in islice(self.loader, start, None):
            x, y = self.fields.pair(item, f"a batch of the {self.name} loader")
            x = verification.examples(example(x, self._x), self._x)
            name = f"y of the {self.name} loader"
            classes = read_labels(_labels(y), name, self.classes).y
            check_rows(classes, len(x), name)
            if (tuple(x.shape[1:]), x.dtype) != (self.shape, self.rows.dtype):
                raise InputError(
                    f"the {self.name} loader gives {x.dtype} of shape {tuple(x.shape[1:])} after {self.rows.dtype} of "
                    f"{self.shape}: expected the same"
                )
            yield Batch(move(self.normalise(x), self.device), move(classes, self.device), span=(0, len(x)))

    @property
    def _x(self) -> str:
        return f"x of the {self.name} loader"


def _labels(y: Any) -> np.ndarray:
    """Labels of a batch, one or one-hot row each."""
    return np.atleast_1d(np.asarray(label(y)))


@contextlib.contextmanager
def _as_before(loader: DataLoader) -> Iterator[None]:
    """Leave every random state as it was, so that the run's first pass is the loader's first."""
    holders = (loader, loader.sampler, getattr(loader.batch_sampler, "sampler", None))
    generators = {id(g): g for holder in holders if (g := getattr(holder, "generator", None)) is not None}
    states = {key: generator.get_state() for key, generator in generators.items()}
    with borrowed():
        yield
    for key, generator in generators.items():
        generator.set_state(states[key])


def read_loaders(
    loaders: Mapping[str, DataLoader], settings: OwnSettings
) -> tuple[dict[str, LoaderSource], Labels, list[str]]:
    """Read the loaders of a data set once.

    Args:
        loaders: by ``train``, ``val`` and ``test``.
        settings: of the data.

    Returns:
        Sources by part, the labels of the training and validation rows, and notes.

    Raises:
        InputError: loaders that are empty, have no length or do not go together.
    """
    sources: dict[str, LoaderSource] = {}
    for part, word in (("train", "training"), ("val", "validation"), ("test", "test")):
        if part in loaders:
            _check_length(loaders[part], word)
            sources[part] = LoaderSource(loaders[part], word, settings.input_field, settings.label_field)
    train = sources["train"]
    for source in sources.values():
        if (source.shape, source.rows.dtype) != (train.shape, train.rows.dtype):
            raise InputError(
                f"the {source.name} loader gives {source.rows.dtype} of {source.shape}, the training loader "
                f"{train.rows.dtype} of {train.shape}: expected the same"
            )
    labels = read_labels([*train.labels, *sources["val"].labels], "y of the training loader")
    notes = ["DataLoaders are used as they are: their order, batches and values stay unchanged", *labels.notes]
    for source in sources.values():
        source.classes = labels.classes
        read_labels(source.labels, f"y of the {source.name} loader", labels.classes)
        notes += source.notes
    return sources, labels, notes


def _check_length(loader: DataLoader, name: str) -> None:
    """Refuse a loader over an iterable dataset, which may never end."""
    try:
        len(loader.dataset), len(loader)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"the {name} loader has no length: expected a DataLoader over a map-style dataset") from None
