"""Conversion of the user's data to a `Data`: everything that ``Trainer.fit`` accepts.

=====================================  ==============================================================================
input                                  result
=====================================  ==============================================================================
`Data`                                 itself
``(x, y)``                             split into training and validation; no test part
``(x_train, y_train, x_test, y_test)`` the first two split; the last two are the test part
``((x_train, y_train), (x_test, …))``  the same
a map-style torch Dataset              as ``(x, y)``
``(train, test)`` Datasets             as the four arrays
``(train, val, test)`` Datasets        none is split
``(train, val)`` DataLoaders           used as they are; no test part
``(train, val, test)`` DataLoaders     used as they are
a graph with ``x, edge_index, y``      see `bpfree.data.graphs.graph_object`
a pandas DataFrame                     its column ``target`` is to be predicted; two DataFrames with the same columns:
                                       the second is the test part; DataFrames may stand for x in all of the above
a mapping                              ``train`` with ``val`` (or ``validation``) and ``test``, each a Dataset or
                                       ``(x, y)``, or all DataLoaders
=====================================  ==============================================================================

Arrays and tensors keep their shape ``(N, …)``, channels first: bytes are pixels 0..255 and become 0..1. Labels are of
any kind that `bpfree.data.labels` reads. A Dataset is anything with rows by number and a length, Hugging Face's
included; its items are pairs, longer tuples or dictionaries (`bpfree.data.items`), and random transforms stay random
(`bpfree.data.map_style`). One of at most 1 GiB is read into memory; a larger one is read as it is used and has no hash.
A DataLoader cannot be split without losing its order and batches: one for validation must come with it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from bpfree.data.graphs.recognition import is_graph
from bpfree.data.loader import read_loaders
from bpfree.data.map_style import is_map_style
from bpfree.data.parts import join
from bpfree.data.reader import Raw, as_settings, prepare
from bpfree.data.settings import DataSettings, OwnSettings
from bpfree.data.tables.frames import is_frame, same_columns
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec

_ORDER = ("train", "val", "test")
_OTHER_NAMES = {"training": "train", "validation": "val", "valid": "val"}  # Hugging Face's, and other usual ones
_CHOICES = (
    "expected (x, y), (x_train, y_train, x_test, y_test), a torch Dataset, (train, test) or (train, val, test) "
    "Datasets, (train, val) or (train, val, test) DataLoaders, a mapping of such parts, or bpfree data"
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
    settings = own_settings(settings)
    parts, notes = _parts(data)
    if isinstance(parts["train"], DataLoader):
        return _loaders(parts, settings, notes)
    return prepare(join(parts, settings, notes), settings, seed)


def as_raw(data: Any, settings: Mapping[str, Any] | DataSettings | None = None) -> Raw:
    """Read arrays or Datasets in any of the forms above, without split or randomness.

    Args:
        data: see above.
        settings: of the data.

    Raises:
        InputError: another form, or anything wrong with the values.
    """
    if isinstance(data, Data):
        raise InputError("bpfree data are ready to train on: their rows as they were read are not known")
    parts, notes = _parts(data)
    if isinstance(parts["train"], DataLoader):
        raise InputError("DataLoaders have no rows by number: give their datasets")
    return join(parts, own_settings(settings), notes)


def own_settings(settings: Mapping[str, Any] | DataSettings | None) -> OwnSettings:
    """Complete the settings of the user's own data by their defaults."""
    settings = as_settings(settings, OwnSettings)
    return settings if isinstance(settings, OwnSettings) else OwnSettings(**dataclasses.asdict(settings))


def _parts(data: Any) -> tuple[dict[str, Any], list[str]]:
    """Parts by ``train``, ``val`` and ``test``, each ``(x, y)``, a Dataset or a DataLoader; and notes."""
    if isinstance(data, Mapping):
        return _named_parts(data)
    parts = tuple(data) if isinstance(data, tuple | list) else (data,)
    if all(isinstance(part, DataLoader) for part in parts):
        if len(parts) not in (2, 3):
            raise InputError("a DataLoader cannot be split: give (train_loader, val_loader), or its dataset")
        return dict(zip(_ORDER, parts)), []
    if all(map(is_frame, parts)) and (len(parts) == 1 or (len(parts) == 2 and same_columns(*parts))):
        return dict(zip(("train", "test"), parts)), []
    if all(map(is_map_style, parts)) and len(parts) in (1, 2, 3):
        return dict(zip(("train", "test") if len(parts) == 2 else _ORDER, parts)), []
    if all(map(_is_array, parts)):
        if len(parts) == 2 and all(map(_is_pair, parts)):
            return {"train": tuple(parts[0]), "test": tuple(parts[1])}, []
        if len(parts) in (2, 4):
            return {"train": parts[:2], **({"test": parts[2:]} if parts[2:] else {})}, []
    kinds = ", ".join(type(part).__name__ for part in parts)
    raise InputError(f"cannot train on {kinds}: {_CHOICES}")


def _named_parts(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The same from a mapping; parts of other names are left out."""
    named = {_OTHER_NAMES.get(str(name), str(name)): part for name, part in data.items()}
    parts = {name: named.pop(name) for name in _ORDER if name in named}
    if "train" not in parts:
        names = ", ".join(map(str, data)) or "none"
        raise InputError(f"the parts are {names}: expected train, with val and test where there are any")
    loaders = {name for name, part in parts.items() if isinstance(part, DataLoader)}
    if loaders and (loaders != {*parts} or "val" not in parts):
        raise InputError("a DataLoader cannot be split: give one for train and one for val, or their datasets")
    for name, part in parts.items():
        arrays = isinstance(part, tuple | list) and len(part) == 2
        if not (loaders or arrays or is_map_style(part) or is_frame(part)):
            raise InputError(f"part {name} is a {type(part).__name__}: expected (x, y), a Dataset or a DataLoader")
    return parts, [f"parts left out: {', '.join(named)}"] if named else []


def _is_array(part: Any) -> bool:
    kinds = np.ndarray | Tensor | list | tuple
    return isinstance(part, kinds) or hasattr(part, "__array__") or hasattr(part, "toarray")


def _is_pair(part: Any) -> bool:
    """True for ``(x, y)`` with arrays in it, as against a nested list of numbers."""
    return isinstance(part, tuple | list) and len(part) == 2 and all(getattr(array, "shape", ()) for array in part)


def _loaders(parts: Mapping[str, DataLoader], settings: OwnSettings, notes: list[str]) -> Data:
    """Use two or three DataLoaders as they are."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        passive = ("data_dir", "split_seed", "input_field", "label_field")
        if field.name not in passive and value != getattr(OwnSettings(), field.name):
            raise InputError(f"{field.name} = {value} has no effect on a DataLoader, which is used as it is: remove it")
    sources, labels, more = read_loaders(parts, settings)
    name, shape = type(parts["train"].dataset).__name__, sources["train"].shape
    origin = f"DataLoader over {name}"
    spec = Spec(name, shape, len(labels.classes), labels.class_names, "classification", "accuracy", True, "", origin)
    return Data(spec, sources["train"], sources["val"], sources.get("test"), notes=(*notes, *more))
