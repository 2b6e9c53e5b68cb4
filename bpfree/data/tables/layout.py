"""Layout of a table: which features its columns become, so that further rows are read as those of the training part.

A column of numbers is one feature, and a second one that says where a value is missing if any is. A column of
categories is one feature (0 or 1) for each category, and one more for missing values if there are any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bpfree.data.tables.columns import levels_of, listed, names_of, useless, values_of
from bpfree.errors import InputError


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: in the table.
        levels: its categories; (): it holds numbers.
        missing: values are missing in the training part.
    """

    name: str
    levels: tuple[str, ...] = ()
    missing: bool = False

    @property
    def features(self) -> int:
        """Number of features."""
        return (len(self.levels) or 1) + self.missing


def lay_out(frame: Any, missing: str) -> tuple[list[Column], list[str]]:
    """Decide what the columns of a training part become.

    Args:
        frame: a pandas DataFrame, without its target.
        missing: ``mean``: missing numbers are filled; ``refuse``: they are refused.

    Returns:
        The columns to learn from, and notes.

    Raises:
        InputError: a column that is neither numbers nor categories, missing numbers, or no column left.
    """
    if len(frame) == 0:
        raise InputError("the table has no rows: expected at least one")
    columns, left_out, booleans = [], [], []
    gaps: dict[str, int] = {}
    for place, name in enumerate(names_of(frame, "the table")):
        series = frame.iloc[:, place]
        values = values_of(series, name)
        text = values.dtype == object
        levels = levels_of(values, series) if text else ()
        if reason := useless(values, name, len(levels)):
            left_out.append(f"{name} ({reason})")
            continue
        booleans += [name] if values.dtype == bool else []
        gone = int(sum(value is None for value in values) if text else np.isnan(values.astype(np.float64)).sum())
        gaps |= {name: gone} if gone and not text else {}
        columns.append(Column(name, levels, gone > 0))
    if not columns:
        raise InputError(f"the table has no column to learn from: left out {listed(left_out) or 'none'}")
    if gaps and missing == "refuse":
        counts = listed(f"{name} ({count})" for name, count in gaps.items())
        raise InputError(f"numbers are missing in {counts}: --missing mean fills them, --drop leaves a column out")
    notes = {
        "columns left out": left_out,
        "boolean columns, read as 0 and 1": booleans,
        "columns of categories, one-hot": [f"{c.name} ({len(c.levels)})" for c in columns if c.levels],
        "missing values are a category of their own": [c.name for c in columns if c.levels and c.missing],
        "missing numbers, filled with the mean of the training part and marked in a column of their own": [
            f"{name} ({count})" for name, count in gaps.items()
        ],
    }
    return columns, [f"{line}: {listed(names)}" for line, names in notes.items() if names]


def features(frame: Any, columns: Sequence[Column], what: str) -> tuple[np.ndarray, list[str]]:
    """Read rows of a table by the layout of its training part.

    Args:
        frame: a pandas DataFrame; columns that the layout does not name are not read.
        columns: the layout.
        what: the table, for messages.

    Returns:
        Features ``(N, F)`` float64, NaN for a missing number; and notes about categories that the training part lacks.

    Raises:
        InputError: a column that is missing or of another kind.
    """
    places = {name: place for place, name in enumerate(names_of(frame, what))}
    if lacking := [column.name for column in columns if column.name not in places]:
        raise InputError(f"{what} lacks column {listed(lacking)}: it holds {listed(places)}")
    parts, notes = [], []
    for column in columns:
        values = values_of(frame.iloc[:, places[column.name]], f"{column.name} of {what}")
        if not column.levels:
            if values.dtype == object and any(value is not None for value in values):
                raise InputError(f"column {column.name} of {what} holds text: the training part has numbers in it")
            numbers = np.where(values == None, np.nan, values).astype(np.float64)  # noqa: E711
            if np.isinf(numbers).any():
                raise InputError(f"column {column.name} of {what} row {np.isinf(numbers).argmax()} is infinite")
            parts += [numbers[:, None]] + ([np.isnan(numbers)[:, None]] if column.missing else [])
            continue
        texts = _texts(values)
        parts.append(texts[:, None] == np.array(column.levels, dtype=object))
        parts += [(texts == "")[:, None]] if column.missing else []
        unknown = {text for text in texts if text not in column.levels and not (column.missing and text == "")}
        if unknown:
            rows = sum(text in unknown for text in texts)
            names = listed(sorted(text or "missing" for text in unknown))
            notes.append(f"column {column.name} of {what}: {rows} rows of no category of the training part: {names}")
    return np.concatenate(parts, 1, dtype=np.float64), notes


def _texts(values: np.ndarray) -> np.ndarray:
    """Categories as text, "" where one is missing; a whole number is the same category in every type."""
    if values.dtype == object:
        return np.array(["" if value is None else value for value in values], dtype=object)
    texts = ["" if np.isnan(v) else f"{v:.0f}" if v == np.floor(v) else str(v) for v in values.astype(np.float64)]
    return np.array(texts, dtype=object)


def as_json(columns: Sequence[Column]) -> dict[str, Any]:
    """The layout as the record keeps it."""
    return {"columns": [{**asdict(column), "levels": list(column.levels)} for column in columns]}


def further_rows(x: Any, table: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Read further rows of the table that a model was trained on.

    Args:
        x: a pandas DataFrame with its columns, or an array of features.
        table: ``data.input.table`` of the record.

    Returns:
        Features ``(N, F)`` with missing numbers filled as in training, and notes.
    """
    notes: list[str] = []
    if hasattr(x, "iloc"):
        columns = [Column(c["name"], tuple(c["levels"]), c["missing"]) for c in table["columns"]]
        x, notes = features(x, columns, "x")
    if "fill" in table:
        x = np.asarray(x, dtype=np.float64)
        x = np.where(np.isnan(x), np.array(table["fill"]), x)
    return x, notes
