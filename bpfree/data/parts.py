"""Parts of a data set, arrays or Datasets, joined into one `Raw`."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpfree.data import map_style, verification
from bpfree.data.labels import check_rows
from bpfree.data.map_style import JoinedRows, Part, is_map_style
from bpfree.data.reader import Raw, from_arrays
from bpfree.data.rows import ArrayRows, Rows
from bpfree.data.settings import OwnSettings
from bpfree.data.tables.frames import read_frames
from bpfree.data.targets import read_more_targets, read_targets
from bpfree.errors import InputError

MEMORY_BYTES = 1 << 30  # the largest Datasets that are read into memory
_WORDS = {"train": "training", "val": "validation", "test": "test"}


def join(parts: Mapping[str, Any], settings: OwnSettings, notes: Sequence[str]) -> Raw:
    """Read the parts of a data set.

    Args:
        parts: by ``train``, ``val`` and ``test``, each ``(x, y)`` or a map-style Dataset.
        settings: of the data.
        notes: lines so far.

    Raises:
        InputError: anything wrong with the values, or parts that do not go together.
    """
    parts, table, of_table = read_frames(parts, settings)
    notes = [*notes, *of_table]
    opened = {
        name: map_style.opened(part, "dataset" if name == "train" else f"{_WORDS[name]} dataset", settings)
        for name, part in parts.items()
        if is_map_style(part)
    }
    in_memory = sum(rows.nbytes for rows in opened.values()) <= MEMORY_BYTES
    read = {
        name: map_style.read(opened[name], settings, in_memory) if name in opened else _arrays(part, name)
        for name, part in parts.items()
    }
    name, source = "arrays", "given in memory"
    if "train" in opened:
        name = type(parts["train"]).__name__
        source = f"torch Dataset {name}" if isinstance(parts["train"], Dataset) else f"dataset {name}"
    raw = _joined(name, source, read, {name: f" of the {rows.name}" for name, rows in opened.items()}, settings, table)
    random = [_WORDS[part] for part, content in read.items() if content.rows is not None and not content.rows.fixed]
    if "training" in random and "val" not in parts:
        notes = [
            *notes,
            "validation rows go through the random transforms too, each always alike: give a Dataset of its own for "
            "validation, (train, val, test)",
        ]
    later = [f"{word} rows go through random transforms, each always alike" for word in random if word != "training"]
    own = (note for part in read.values() for note in part.notes)
    return dataclasses.replace(raw, notes=tuple(dict.fromkeys([*notes, *raw.notes, *own, *later])), table=table)


def _arrays(part: Any, name: str) -> Part:
    """Arrays as a part; a sparse matrix becomes dense."""
    x, y = part
    if not hasattr(x, "toarray"):
        return Part(None, x, y)
    dense = x.toarray()
    return Part(None, dense, y, notes=(f"{_WORDS[name]} rows are a sparse matrix {dense.shape}: it is made dense",))


def _joined(
    name: str,
    source: str,
    read: Mapping[str, Part],
    of: Mapping[str, str],
    settings: OwnSettings,
    table: Mapping[str, Any] | None,
) -> Raw:
    """All parts as one.

    Args:
        name: as in `Spec`.
        source: as in `Spec`.
        read: the parts.
        of: words behind x and y in messages, by part that is a Dataset.
        settings: of the data.
        table: layout of a table with named columns; or None.
    """
    train, val, test = (read.get(part) for part in _WORDS)
    assert train is not None
    suffix = {part: of.get(part, "" if len(read) == 1 else f"_{part}") for part in read}
    x, y, held_out = train.x, train.y, None
    if val is not None:
        y = _with_validation(train, val, suffix)
        held_out = torch.arange(len(y) - len(val.y), len(y))
        x = None if train.x is None or val.x is None else _both(train.x, val.x, table is not None)
    names = [f"{array}{suffix.get(part, '')}" for part in ("train", "test") for array in "xy"]
    if all(part.x is not None for part in read.values()):
        x_test, y_test = (None, None) if test is None else (test.x, test.y)
        raw = from_arrays(
            name, source, x, y, x_test, y_test, names=names, task=settings.task, missing=table is not None
        )
    else:
        labels = read_targets(y, names[1], settings.task)
        y_test = None if test is None else read_more_targets(test.y, names[3], labels)
        rows, tests = _rows(train, val), None if test is None else _rows(test)
        check_rows(labels.y, len(rows), names[1])
        if tests is not None:
            _check_alike(tests, rows, "test")
        raw = Raw(name, source, "", rows, labels.y, tests, y_test, labels.class_names, notes=labels.notes)
    return _completed(raw, train, val, test, held_out)


def _completed(raw: Raw, train: Part, val: Part | None, test: Part | None, held_out: Tensor | None) -> Raw:
    """The data set with rows that are drawn, rows held out, and the names of the classes."""
    parts = [part for part in (train, val, test) if part is not None]
    changes: dict[str, Any] = {}
    if train.rows is not None or (val is not None and val.rows is not None):
        changes["x"] = _rows(train, val)
    if test is not None and test.rows is not None:
        changes["x_test"] = _rows(test)
    if held_out is not None:
        _check_classes(raw, held_out)
        text = f"{raw.sha256} {len(held_out)} rows of validation"
        changes |= {"held_out": held_out, "sha256": raw.sha256 and hashlib.sha256(text.encode()).hexdigest()}
    if not all(part.repeatable for part in parts):
        changes["sha256"] = ""
    if train.class_names is not None and not raw.y.is_floating_point():
        changes["class_names"] = _declared(raw, train.class_names)
    return dataclasses.replace(raw, **changes)


def _rows(first: Part, second: Part | None = None) -> Rows:
    """Rows of one part, or of two."""
    if second is not None:
        rows = _rows(first), _rows(second)
        _check_alike(rows[1], rows[0], "validation")
        return JoinedRows(*rows)
    return ArrayRows(verification.examples(first.x, "x")) if first.rows is None else first.rows


def _with_validation(train: Part, val: Part, suffix: Mapping[str, str]) -> list[Any]:
    """Labels of both parts, each as many as its examples."""
    labels: list[Any] = []
    for name, part in (("train", train), ("val", val)):
        y = _listed(part.y)
        rows = len(part.x) if part.rows is None else len(part.rows)
        if len(y) != rows:
            raise InputError(f"y{suffix[name]} has {len(y)} rows but there are {rows} examples: expected as many")
        labels += y
    return labels


def _listed(y: Any) -> list[Any]:
    """Labels of any container, row by row."""
    if isinstance(y, Tensor):
        return y.tolist()
    return np.asarray(y).tolist() if hasattr(y, "__array__") else list(y)


def _both(train: Any, val: Any, missing: bool) -> Tensor:
    """Examples of both parts."""
    first = verification.examples(train, "x of train", missing)
    later = verification.examples(val, "x of val", missing)
    _check_alike(later, first, "validation")
    return torch.cat([first, later])


def _check_alike(later: Any, first: Any, word: str) -> None:
    """Refuse examples of the part called ``word`` of another shape or type than the training examples."""
    shapes = [tuple(rows.shape[1:]) if isinstance(rows, Tensor) else rows.shape for rows in (later, first)]
    if shapes[0] != shapes[1] or later.dtype != first.dtype:
        raise InputError(
            f"{word} examples are {later.dtype} of shape {shapes[0]} but training examples {first.dtype} of "
            f"{shapes[1]}: expected the same"
        )


def _check_classes(raw: Raw, held_out: Tensor) -> None:
    """Refuse a class that has rows to validate on and none to train on."""
    kept = torch.ones(len(raw.y), dtype=torch.bool)
    kept[held_out] = False
    if raw.y.is_floating_point():
        return
    for c in torch.unique(raw.y[held_out]).tolist():
        if not (raw.y[kept] == c).any():
            name = raw.class_names[c] if raw.class_names else c
            raise InputError(f"validation holds label {name}, which no training row has: move some of its rows there")


def _declared(raw: Raw, names: Sequence[str]) -> tuple[str, ...]:
    """Names that a dataset declares for its labels; a label without a name is one that is missing."""
    labels = raw.class_names or tuple(map(str, range(raw.classes)))
    for text in labels:
        if not text.isdecimal() or int(text) >= len(names):
            raise InputError(f"the dataset declares {len(names)} classes, and holds label {text}: leave such rows out")
    return tuple(names[int(text)] for text in labels)
