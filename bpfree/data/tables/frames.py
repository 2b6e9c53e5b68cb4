"""Tables with named columns, as pandas has them: features and target of every part, read alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bpfree.data.settings import TableSettings
from bpfree.data.tables.columns import listed, names_of
from bpfree.data.tables.layout import as_json, features, lay_out
from bpfree.errors import InputError, unknown

_TARGETS = ("target", "label", "class", "y")


def is_frame(part: Any) -> bool:
    """True for a pandas DataFrame, without an import of pandas."""
    return hasattr(part, "iloc") and hasattr(part, "columns")


def same_columns(first: Any, second: Any) -> bool:
    """True for two DataFrames with the same columns in any order."""
    return set(map(str, first.columns)) == set(map(str, second.columns))


def read_frames(
    parts: Mapping[str, Any], settings: TableSettings
) -> tuple[dict[str, Any], dict[str, Any] | None, list[str]]:
    """Turn the DataFrames among the parts of a data set into arrays.

    Args:
        parts: by ``train``, ``val`` and ``test``: a DataFrame with its target in it, or ``(x, y)``; others stay.
        settings: of the table.

    Returns:
        The parts as ``(x, y)`` arrays, the layout for the record (None: there was no DataFrame), and notes.

    Raises:
        InputError: no such column, or one that cannot be read.
    """
    train = parts["train"]
    pair = isinstance(train, tuple | list) and len(train) == 2
    if not (is_frame(train) or (pair and is_frame(train[0]))):
        if settings.target is not None or settings.drop:
            name = "target" if settings.target is not None else "drop"
            raise InputError(f"{name} names a column, and these data have no named columns: leave it out")
        return dict(parts), None, []
    target, notes = ("", []) if pair else _target(train, settings)
    kept = _without(train[0] if pair else train, [*([target] if target else []), *settings.drop])
    columns, more = lay_out(kept, settings.missing)
    notes, read = [*notes, *more], {}
    for name, part in parts.items():
        if pair != (isinstance(part, tuple | list) and len(part) == 2) or not is_frame(part[0] if pair else part):
            raise InputError(f"the {name} part is no table like the training part: give the same columns")
        frame, y = part if pair else (part, _column(part, target, f"the {name} part"))
        if pair and hasattr(y, "index") and len(y) == len(frame) and not frame.index.equals(y.index):
            notes.append(f"rows of x and y of the {name} part have other indices: they go together by their order")
        x, more = features(frame, columns, f"the {name} part")
        read[name], notes = (x, _labels(y)), [*notes, *more]
    return read, as_json(columns), notes


def _target(frame: Any, settings: TableSettings) -> tuple[str, list[str]]:
    """Name of the column to predict, with a note where nobody has said it."""
    names = names_of(frame, "the table")
    if settings.target is not None:
        if settings.target not in names:
            raise unknown("column", settings.target, names)
        return settings.target, []
    usual = [name for name in names if name.lower() in _TARGETS]
    target = usual[0] if len(usual) == 1 else names[-1]
    return target, [f"target: column {target} (--target NAME: another)"]


def _without(frame: Any, dropped: list[str]) -> Any:
    """The table without some of its columns."""
    names = names_of(frame, "the table")
    for name in dropped:
        if name not in names:
            raise unknown("column", name, names)
    return frame.iloc[:, [place for place, name in enumerate(names) if name not in dropped]]


def _column(frame: Any, name: str, what: str) -> Any:
    names = names_of(frame, what)
    if name not in names:
        raise InputError(f"{what} lacks the target column {name}: it holds {listed(names)}")
    return frame.iloc[:, names.index(name)]


def _labels(y: Any) -> Any:
    """Labels in a container that numpy knows: numbers of one type, or objects with None where one is missing."""
    if not hasattr(y, "iloc") or is_frame(y):
        return y
    if y.isna().any():
        known = np.array(y.astype(object))
        known[np.asarray(y.isna())] = None
        return known
    kind = getattr(y.dtype, "kind", "O")
    return np.asarray(y.astype(object)) if kind not in "biuf" else y.to_numpy(dtype=f"{kind}8" if kind != "b" else bool)
