"""Targets of a data set: classes, or numbers to predict; and the scale on which numbers are learnt.

The task ``auto`` is decided by the values: text, booleans, integers and one-hot rows are classes; floats are numbers,
but for whole ones of at most 20 different values, which are classes too.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.data.labels import read_labels
from bpfree.errors import InputError

_CLASSES = 20  # whole numbers of more values than this rather count or measure something


@dataclass(frozen=True)
class Targets:
    """Targets of the rows of a data set.

    Attributes:
        y: classes ``(N,)`` int64, or numbers ``(N, T)`` float64.
        classes: the C labels as text; () for numbers.
        class_names: the same, or None where they are the numbers 0..C-1 themselves.
        notes: lines about what was converted or assumed (`bpfree.config.notes`).
    """

    y: Tensor
    classes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def read_targets(values: Any, name: str, task: str = "auto") -> Targets:
    """Read the targets of a training part.

    Args:
        values: labels as `read_labels` takes them, or numbers ``(N,)`` or ``(N, T)``.
        name: for messages.
        task: ``regression``, ``classification``; any other: decided by the values.

    Returns:
        The targets.

    Raises:
        InputError: labels or numbers that are not valid.
    """
    if task == "regression":
        return Targets(_numbers(values, name))
    if task == "classification":
        return _classes(values, name)
    floats = _floats(values)
    if floats is None:
        return _classes(values, name, _is_integer(values))
    distinct = len(np.unique(floats))
    if floats.ndim == 1 and distinct <= _CLASSES and (floats == np.floor(floats)).all():
        read = _classes(values, name)
        return replace(read, notes=(*read.notes, f"{name} as numbers to predict: --task regression"))
    note = (
        f"{name} holds floats of {distinct} different values: the task is regression (--task classification: classes)"
    )
    return Targets(_numbers(values, name), notes=(note,))


def read_more_targets(values: Any, name: str, first: Targets) -> Tensor:
    """Read the targets of a test part, which are like those of the training part.

    Args:
        values: as for `read_targets`.
        name: for messages.
        first: those of the training part.

    Returns:
        Classes ``(M,)`` or numbers ``(M, T)``.

    Raises:
        InputError: labels that no training row has, or another number of targets.
    """
    if first.classes:
        return read_labels(values, name, first.classes).y
    y = _numbers(values, name)
    if y.shape[1:] != first.y.shape[1:]:
        raise InputError(f"{name} has {y.shape[1]} target(s) a row but the training part {first.y.shape[1]}")
    return y


def scale(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of numbers to predict.

    Args:
        y: ``(N, T)`` of the training part.

    Returns:
        Offset and scale ``(T,)`` in float64; the scale of a constant target is 1.
    """
    mean, std = y.mean(0), y.std(0, correction=0)
    return mean, torch.where(std > 1e-12 * mean.abs(), std, 1.0)


def unscaled(numbers: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
    """Numbers in their units.

    Args:
        numbers: on the scale on which they are learnt ``(N, …, T)``.
        target: their offset and scale, as `scale` gives them.

    Returns:
        The same numbers in float64, on the CPU.
    """
    offset, deviation = target
    return numbers.cpu().double() * deviation + offset


def _classes(values: Any, name: str, integers: bool = False) -> Targets:
    """Labels as classes, with a note where they are ``integers`` of so many values that they may be numbers."""
    read = read_labels(values, name)
    line = f"{name} is read as {len(read.classes)} classes: --task regression predicts numbers"
    many = integers and len(read.y) / 10 < len(read.classes) > _CLASSES
    if many and int(torch.bincount(read.y).min()) < 2:
        raise InputError(f"{name} holds {len(read.classes)} whole numbers, some once: --task regression predicts them")
    return Targets(read.y, read.classes, read.class_names, (*read.notes, line) if many else read.notes)


def _floats(values: Any) -> np.ndarray | None:
    """The values as floats ``(N,)`` or ``(N, T)`` if floats they are and neither missing nor one-hot; else None."""
    array = values.detach().cpu().double().numpy() if _is_float_tensor(values) else values
    try:
        array = np.asarray(array)
    except ValueError:
        return None
    if array.dtype.kind == "O" and all(isinstance(v, float | int) and not isinstance(v, bool) for v in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind != "f" or array.size == 0 or array.ndim not in (1, 2) or not np.isfinite(array).all():
        return None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    one_hot = array.ndim == 2 and np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()
    return None if one_hot else array


def _numbers(values: Any, name: str) -> Tensor:
    """Numbers to predict as ``(N, T)`` float64."""
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu().double().numpy()
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise ValueError
        array = array.astype(np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{name} holds values that are no numbers: the task regression predicts numbers") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            f"{name} has shape {np.shape(values)}: expected one or more numbers a row, (rows,) or (rows, T)"
        )
    if not np.isfinite(array).all():
        row = int((~np.isfinite(array)).any(1).argmax())
        raise InputError(f"{name} row {row} is missing or infinite: leave rows without a target out")
    return torch.from_numpy(np.ascontiguousarray(array))


def _is_float_tensor(values: Any) -> bool:
    return isinstance(values, Tensor) and values.is_floating_point()


def _is_integer(values: Any) -> bool:
    """True for whole numbers of an integer type."""
    dtype = getattr(values, "dtype", None)
    if isinstance(values, Tensor):
        return not values.is_floating_point() and values.dtype != torch.bool
    return np.asarray(values).dtype.kind in "iu" if dtype is None else getattr(dtype, "kind", "") in "iu"
