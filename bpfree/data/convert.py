"""Conversion of the user's data to a `Data`: everything that ``Trainer.fit`` accepts.

=====================================  ==============================================================================
input                                  result
=====================================  ==============================================================================
`Data`                                 itself
``(x, y)``                             split into training and validation; no test part
``(x_train, y_train, x_test, y_test)`` the first two split; the last two are the test part
a map-style torch Dataset              as ``(x, y)``
``(train, test)`` Datasets             as the four arrays
``(train, val)`` DataLoaders           used as they are; no test part
``(train, val, test)`` DataLoaders     used as they are
a graph with ``x, edge_index, y``      see `bpfree.data.graphs.graph_object`
=====================================  ==============================================================================

Arrays and tensors keep their shape ``(N, …)``, channels first: bytes are pixels 0..255 and become 0..1, floats are
taken as they are; labels are integers 0..C-1. A Dataset of at most 1 GiB is read once into memory, which freezes random
transforms in it (use ``shift``, ``crop``, ``flip``, or a DataLoader); a larger one is read as it is used and has no
hash. A DataLoader cannot be split without losing its order and batches: one for validation must come with it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from bpfree.data import verification
from bpfree.data.graphs.recognition import is_graph
from bpfree.data.loader import DatasetRows, LoaderSource, known_labels, pair, read, stack
from bpfree.data.reader import Raw, as_settings, from_arrays, prepare
from bpfree.data.rows import ArrayRows
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec

_MEMORY_BYTES = 1 << 30  # the largest Dataset that is read into memory
_CHOICES = (
    "expected (x, y), (x_train, y_train, x_test, y_test), a torch Dataset, (train, test) Datasets, "
    "(train, val) or (train, val, test) DataLoaders, or bpfree data"
)


def as_data(data: Any, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> Data:
    """Convert data in any of the forms above.

    Args:
        data: see above.
        settings: of split, normalisation and augmentation; unused when ``data`` is a `Data` already.
        seed: of the run; seeds the split unless ``split_seed`` is set.

    Returns:
        The data, ready to train on.

    Raises:
        InputError: another form, or anything wrong with the values.
    """
    if isinstance(data, Data):
        return data
    if is_graph(data):
        from bpfree.data.graphs.graph_object import graph_data  # imports scipy, which other data do not need

        return graph_data(data, settings, seed)
    settings = as_settings(settings)
    parts = tuple(data) if isinstance(data, tuple | list) else (data,)
    if all(isinstance(part, DataLoader) for part in parts):
        return _loaders(parts, settings)
    if all(isinstance(part, Dataset) for part in parts) and len(parts) in (1, 2):
        return prepare(_datasets(parts), settings, seed)
    if all(isinstance(part, np.ndarray | Tensor | list | tuple) for part in parts) and len(parts) in (2, 4):
        names = ("x", "y", "", "") if len(parts) == 2 else ("x_train", "y_train", "x_test", "y_test")
        return prepare(from_arrays("arrays", "given in memory", *parts, names=names), settings, seed)
    kinds = ", ".join(type(part).__name__ for part in parts)
    raise InputError(f"cannot train on {kinds}: {_CHOICES}")


def _datasets(parts: tuple[Dataset, ...]) -> Raw:
    """Read one or two map-style Datasets, into memory if they fit."""
    for part in parts:
        if isinstance(part, IterableDataset) or not hasattr(part, "__len__"):
            raise InputError("the dataset has no rows to choose from (it is iterable only): give DataLoaders instead")
        if len(part) == 0:
            raise InputError("the dataset is empty: it needs at least one row")
    name, source = type(parts[0]).__name__, f"torch Dataset {type(parts[0]).__name__}"
    rows = [DatasetRows(part) for part in parts]
    if sum(len(part) * part.numel * part.dtype.itemsize for part in rows) <= _MEMORY_BYTES:
        return from_arrays(name, source, *(array for part in parts for array in stack(part)))
    y = verification.labels(_labels(parts[0]), len(rows[0]), "y of the dataset")
    classes = verification.classes(y, "y of the dataset")
    if len(parts) == 1:
        return Raw(name, source, "", rows[0], y)
    y_test = verification.labels(_labels(parts[1]), len(rows[1]), "y of the test dataset", classes)
    return Raw(name, source, "", rows[0], y, rows[1], y_test)


def _labels(dataset: Dataset) -> Any:
    """Labels of all rows; the whole Dataset is read once unless it states them."""
    stated = known_labels(dataset)
    return [read(dataset, row)[1] for row in range(len(dataset))] if stated is None else stated  # type: ignore[arg-type]


def _loaders(parts: tuple[DataLoader, ...], settings: DataSettings) -> Data:
    """Use two or three DataLoaders as they are."""
    if len(parts) not in (2, 3):
        raise InputError("a DataLoader cannot be split: give (train_loader, val_loader), or its dataset")
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name not in ("data_dir", "split_seed") and value != getattr(DataSettings(), field.name):
            raise InputError(f"{field.name} = {value} has no effect on a DataLoader, which is used as it is: remove it")
    sources = [_loader(part, name) for part, name in zip(parts, ("training", "validation", "test"), strict=False)]
    train = sources[0]
    classes = max(int(torch.as_tensor(_loader_labels(source)).max()) + 1 for source in sources[:2])
    for source in sources:
        source.classes = classes
        if source.shape != train.shape:
            raise InputError(
                f"the {source.name} loader gives {source.shape}, the training loader {train.shape}: expected the same"
            )
    name = type(parts[0].dataset).__name__
    spec = Spec(name, train.shape, classes, None, "classification", "accuracy", True, "", f"DataLoader over {name}")
    return Data(spec, *sources)


def _loader(loader: DataLoader, name: str) -> LoaderSource:
    """Source of one loader, its first batch checked."""
    try:
        empty = len(loader.dataset) == 0 or len(loader) == 0  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"the {name} loader has no length: expected a DataLoader over a map-style dataset") from None
    if empty:
        raise InputError(f"the {name} loader is empty: it needs at least one batch")
    x, _ = pair(next(iter(loader)), f"a batch of the {name} loader")
    return LoaderSource(loader, name, ArrayRows(verification.examples(x, f"x of the {name} loader")))


def _loader_labels(source: LoaderSource) -> Any:
    """Labels of the loader's rows; it is read once unless its dataset states them."""
    stated = known_labels(source.loader.dataset)
    return torch.cat([b.y for b in source.batches(0) if b.y is not None]) if stated is None else stated
