"""Labels as users have them: numbers of any kind, booleans, names, one-hot rows; read into classes 0..C-1.

Every reader and every door reads labels here, so that the same labels mean the same classes everywhere. Whole numbers
are ordered by value, names by alphabet (names that are all whole numbers, by value). Labels that are 0..C-1 already are
their own names; all others keep their text, which predictions then bear.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.errors import InputError

_EXPECTED = "expected class numbers or names (numbers to predict are the task regression)"
_SHOWN = 10  # labels that a message lists at most


@dataclass(frozen=True)
class Labels:
    """Labels of the rows of a data set, as classes.

    Attributes:
        y: classes ``(N,)`` int64, 0..C-1.
        classes: the C labels as text, in the order of their numbers.
        notes: lines about what was converted (`bpfree.config.notes`).
    """

    y: Tensor
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The labels as text; None where they are the numbers 0..C-1 themselves."""
        return None if self.classes == tuple(map(str, range(len(self.classes)))) else self.classes


def read_labels(values: Any, name: str, classes: Sequence[str] | None = None) -> Labels:
    """Read labels of any kind.

    Args:
        values: ``(N,)`` or ``(N, 1)`` whole numbers of any type, booleans or names; or one-hot rows ``(N, C)``.
        name: for messages.
        classes: of the training part, `Labels.classes`, where other rows are read; None: those that occur.

    Returns:
        The classes of all rows.

    Raises:
        InputError: labels that are missing, of several kinds, no classes, all alike, or not among ``classes``.
    """
    array, notes = _one_a_row(_array(values, name), name, getattr(values, "columns", None))
    if array.dtype.kind == "f":
        _check_whole(array, name)
        notes = (*notes, f"{name} is {array.dtype}: its whole numbers are read as classes")
    present, y = np.unique(array, return_inverse=True)
    texts = [value if isinstance(value, str) else str(_plain(value)) for value in present.tolist()]
    if classes is not None:
        number = {text: c for c, text in enumerate(classes)}
        if other := [text for text in texts if text not in number]:
            raise InputError(f"{name} holds label {other[0]}, which no training row has: expected {_list(classes)}")
        order = np.array([number[text] for text in texts])
        return Labels(torch.from_numpy(order[y]), tuple(classes))
    if len(texts) < 2:
        raise InputError(f"{name} holds one class only, {texts[0]}: expected at least two")
    if array.dtype.kind == "U" and all(_is_whole(text) for text in texts):
        ranks = sorted(range(len(texts)), key=lambda k: int(texts[k]))
        y, texts = np.argsort(ranks)[y], [texts[k] for k in ranks]
    read = Labels(torch.from_numpy(y.astype(np.int64)), tuple(texts), notes)
    if read.class_names is None:
        return read
    return Labels(read.y, read.classes, (*notes, f"{name}: {len(texts)} classes, in this order: {_list(texts)}"))


def check_rows(y: Tensor, rows: int, name: str) -> None:
    """Refuse labels that are not one for each of ``rows`` examples.

    Args:
        y: classes ``(N,)``.
        rows: number of examples.
        name: of the labels, for the message.

    Raises:
        InputError: N is another number.
    """
    if len(y) != rows:
        raise InputError(f"{name} has {len(y)} rows but there are {rows} examples: expected one label an example")


def _array(values: Any, name: str) -> np.ndarray:
    """Any container of labels as an array of booleans, integers, floats or text."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy has no bfloat16
    if np.ma.is_masked(values):
        raise _missing(name, int(np.ma.getmaskarray(values).reshape(len(values), -1).any(1).argmax()))
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{name} has rows of different shapes: expected one label a row") from None
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "surrogateescape")
    if array.dtype.kind == "U" and not hasattr(values, "dtype"):
        array = np.asarray(values, dtype=object)  # numpy has made text of numbers beside text
    if array.dtype.kind in "OT":  # T: text of any length
        array = _of_objects(array.astype(object), name)
    if array.dtype.kind not in "biufU":
        raise InputError(f"{name} is an array of {array.dtype}: {_EXPECTED}")
    return array


def _of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """An array of Python objects, all of one kind, with the type of that kind."""
    flat = array.reshape(-1)
    kinds = set()
    for place, value in enumerate(flat.tolist()):
        kind = _kind(value)
        if kind == "missing":
            raise _missing(name, place // max(1, array[0].size if array.ndim > 1 else 1))
        kinds.add(kind)
    if kinds == {"int", "float"}:
        kinds = {"float"}
    if len(kinds) != 1 or not kinds <= {"bool", "int", "float", "str"}:
        raise InputError(f"{name} holds {' and '.join(sorted(kinds)) or 'nothing'}: expected labels of one kind")
    return array.astype({"bool": bool, "int": np.int64, "float": np.float64, "str": np.str_}[kinds.pop()])


def _kind(value: Any) -> str:
    """Kind of one label: ``bool``, ``int``, ``float``, ``str``, ``missing``, or the name of another type."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas marks what is missing with these
        return "missing"
    for kind, types in (("bool", (bool, np.bool_)), ("int", (int, np.integer)), ("str", str)):
        if isinstance(value, types):  # type: ignore[arg-type]
            return kind
    if isinstance(value, float | np.floating):
        return "missing" if np.isnan(value) else "float"
    return type(value).__name__


def _one_a_row(array: np.ndarray, name: str, columns: Iterable | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels ``(N,)``, and a note where they were one-hot; the names of a table's ``columns`` are then the labels."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.size == 0 or array.ndim not in (1, 2):
        raise InputError(f"{name} has shape {array.shape}: expected one label a row")
    if array.ndim == 1:
        return array, ()
    if array.dtype.kind == "U" or not np.isin(array, (0, 1)).all() or (array.astype(np.int64).sum(1) != 1).any():
        raise InputError(f"{name} has shape {array.shape}: expected one label a row, or one-hot rows (a single 1 each)")
    labels = np.arange(array.shape[1]) if columns is None else np.array([str(column) for column in columns])
    return labels[array.argmax(1)], (f"{name} is one-hot over {array.shape[1]} columns: a row's label is its column",)


def _check_whole(array: np.ndarray, name: str) -> None:
    """Refuse floats that are missing or no whole numbers."""
    if np.isnan(array).any():
        raise _missing(name, int(np.isnan(array).argmax()))
    if np.isinf(array).any():
        raise InputError(f"{name} row {int(np.isinf(array).argmax())} is infinite: leave such rows out")
    broken = array != np.floor(array)
    if broken.any():
        row = int(broken.argmax())
        raise InputError(f"{name} row {row} is {array[row]:g}: {_EXPECTED}")


def _missing(name: str, row: int) -> InputError:
    return InputError(f"{name} row {row} is missing: leave rows without a label out")


def _plain(value: Any) -> Any:
    """1.0 as 1, so that the same label has the same text in every type."""
    return int(value) if isinstance(value, float) else value


def _is_whole(text: str) -> bool:
    """True for a whole number as Python writes it."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and text == str(int(text))


def _list(texts: Iterable[str]) -> str:
    texts = list(texts)
    return ", ".join(texts[:_SHOWN]) + (", …" if len(texts) > _SHOWN else "")
