"""Form of a text table: its separator, and whether its first line holds names; decided by its first lines."""

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bpfree.errors import InputError

_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Dialect:
    """Form of a text table.

    Attributes:
        separator: between two values.
        decimal: mark in a number.
        skip: lines before the table.
        names: of the columns where the file has none; () where its first line holds them.
        notes: lines about what was assumed.
    """

    separator: str
    decimal: str = "."
    skip: int = 0
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def dialect(path: Path) -> Dialect:
    """Look at the first lines of a file.

    Args:
        path: of the file.

    Returns:
        Its form.

    Raises:
        InputError: the file is empty, not text in UTF-8, or cannot be read.
    """
    import pandas

    try:
        with pandas.io.common.get_handle(path, "r", encoding="utf-8-sig", compression="infer") as opened:
            lines = [line.rstrip("\r\n") for line in islice(opened.handle, 50)]
    except UnicodeError:
        raise InputError(f"{path} is not text in UTF-8: save it as such") from None
    except (OSError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    skip = 1 if lines and lines[0].lower().startswith("sep=") else 0  # a spreadsheet's first line
    rows = [line for line in lines[skip:] if line.strip()]
    if not rows:
        raise InputError(f"{path} is empty: expected a line of names and a line for each row")
    separator = max(_SEPARATORS, key=lambda mark: _steady(rows, mark))
    first, *rest = csv.reader(rows, delimiter=separator)
    if not _is_row(first, rest):
        return Dialect(separator, skip=skip)
    names = tuple(f"column {k + 1}" for k in range(len(first)))
    return Dialect(separator, skip=skip, names=names, notes=("its first line is a row like the others: no names",))


def pandas_message(error: Exception) -> str:
    """Reason of a failure in one line, as users know their file."""
    text = " ".join(str(error).split())
    if isinstance(error, UnicodeError):
        return "it is not text in UTF-8: save it as such"
    if "loss of data" in text:
        return "some rows have more values than the first line has names"
    return text.removeprefix("Error tokenizing data. C error: ")


def _steady(rows: list[str], mark: str) -> tuple[bool, int]:
    """Fitness of a separator: the same number of columns in the first lines, and many of them."""
    counts = [len(row) for row in csv.reader(rows, delimiter=mark)]
    return (len(set(counts)) == 1 and counts[0] > 1, counts[0])


def _is_row(first: list[str], rest: list[list[str]]) -> bool:
    """Tell a first row from names: it holds fractions, or numbers alone, or beside them only texts that come again.

    Names may be numbers too, such as years, or places from 0.
    """
    if not any(map(_is_number, first)) or first == [str(k) for k in range(len(first))]:
        return False
    if any(_is_number(text) and not text.strip().lstrip("+-").isdigit() for text in first):
        return True
    texts = [(k, text) for k, text in enumerate(first) if not _is_number(text)]
    return all(any(k < len(row) and row[k] == text for row in rest) for k, text in texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
