"""Columns of a table with names: which are numbers, which are categories, which are neither; told by their values."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from bpfree.errors import InputError

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")
_MARKS = re.compile(r"[,\s%$€£]|_")  # thousands, per cent, currencies
_IDENTIFIER = re.compile(r"(unnamed: ?0|id|index|key|uuid|row|.*[_ ]id)")
_LEVELS = 256  # the most categories that one-hot columns are made of
_FEW = 20  # so few different texts are categories, however few rows there are


def values_of(column: Any, name: str) -> np.ndarray:
    """Values of a column: float64 with NaN where one is missing, booleans, or text with None where one is missing.

    Args:
        column: a pandas Series.
        name: for messages.

    Returns:
        ``(N,)``.

    Raises:
        InputError: dates, complex numbers, or anything else that is neither a number nor text.
    """
    kind, missing = getattr(column.dtype, "kind", "O"), np.asarray(column.isna())
    if kind == "b" and not missing.any():
        return np.asarray(column, dtype=bool)
    if kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind in "mM" or hasattr(column.dtype, "freq"):
        raise _date(name)
    if kind == "c":
        raise InputError(f"column {name} holds complex numbers: give real and imaginary part as two columns")
    values = np.asarray(column.astype(object))
    present = values[~missing]
    if all(isinstance(value, bool | np.bool_) for value in present) and len(present):
        return np.array([np.nan if gone else float(value) for value, gone in zip(values, missing)])
    for value in present:
        if hasattr(value, "year"):
            raise _date(name)
        if isinstance(value, list | tuple | dict | set | bytes | np.ndarray):
            raise InputError(f"column {name} holds a {type(value).__name__}: expected numbers or categories")
    texts = [None if gone else str(value) for value, gone in zip(values, missing)]
    return _numbers_or_text(np.array(texts, dtype=object), name)


def levels_of(values: np.ndarray, column: Any) -> tuple[str, ...]:
    """The different texts of a column: in the order that a categorical column declares, else sorted.

    Args:
        values: ``(N,)`` text, None where one is missing.
        column: the pandas Series.
    """
    present = {value for value in values if value is not None}
    declared = getattr(getattr(column, "cat", None), "categories", None)
    return tuple(str(c) for c in declared if str(c) in present) if declared is not None else tuple(sorted(present))


def useless(values: np.ndarray, name: str, levels: int) -> str:
    """Reason to leave a column out, or "".

    Args:
        values: as `values_of` gives them.
        name: of the column.
        levels: number of different texts; 0: numbers.

    Raises:
        InputError: more categories than one-hot columns can be made of.
    """
    rows = len(values)
    if levels:
        if levels > max(_FEW, rows / 2):
            return f"{levels} different texts in {rows} rows"
        if levels > _LEVELS:
            raise InputError(f"column {name} holds {levels} categories, at most {_LEVELS} can be learnt: --drop {name}")
        return "one value only" if levels == 1 and None not in values else ""
    numbers = values.astype(np.float64)
    if len(np.unique(numbers)) < 2:
        return "one value only"
    if rows < 10 or not (numbers == np.floor(numbers)).all():
        return ""
    if (np.diff(numbers) == 1).all():
        return "counts the rows"
    named = _IDENTIFIER.fullmatch(name.lower()) or name.endswith("ID")
    return "an identifier" if named and len(np.unique(numbers)) == rows else ""


def names_of(frame: Any, what: str) -> list[str]:
    """Names of the columns of a DataFrame, as text.

    Raises:
        InputError: a name that stands twice.
    """
    names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name).strip() for name in frame.columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{what} has two columns {twice}: give each a name of its own")
    return names


def _numbers_or_text(texts: np.ndarray, name: str) -> np.ndarray:
    """Text as numbers where all of it is; InputError where most of it is, or where it is dates."""
    present = [text for text in texts if text is not None]
    broken = [text for text in present if not _is_number(text)]
    if present and not broken:
        return np.array([np.nan if text is None else float(text) for text in texts])
    if present and len(broken) < len(present) / 2:
        raise InputError(
            f"column {name}: {len(broken)} of {len(present)} values are no numbers, such as {broken[0]!r}: correct "
            f"them, leave empty what is missing, or --drop {name}"
        )
    if present and all(_is_number(_MARKS.sub("", text)) for text in present):
        raise InputError(f"column {name} holds numbers with other marks, such as {broken[0]!r}: write plain numbers")
    if present and all(_DATE.fullmatch(text.strip()) for text in present):
        raise _date(name)
    return texts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which float() would skip


def _date(name: str) -> InputError:
    return InputError(f"column {name} holds dates or times: give numbers, such as days since a day, or --drop {name}")


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names on one line; of many the first ones and their number."""
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
