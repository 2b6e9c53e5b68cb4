"""Verification of data: checks of raw arrays, their hash, and the errors of damaged files."""

import hashlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.errors import InputError

# Errors of a file with wrong bytes in it: zipfile, zlib and numpy each raise others, depending on the place of the
# damage; the last three come from a header that numpy reads as Python.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, MemoryError),
    *(TypeError, OverflowError, tokenize.TokenError),
)
_WHOLE = 2**53  # up to this, a float64 holds every whole number


def examples(x: Any, name: str, missing: bool = False) -> Tensor:
    """Check examples and convert them to a host tensor.

    Args:
        x: array ``(N, …)`` of bytes or floats, or a table ``(N, F)`` of numbers of any type.
        name: for messages.
        missing: NaN stands for a missing value and is allowed.

    Returns:
        ``(N, …)`` bytes or floats; the other integers and the booleans of a table as floats.

    Raises:
        InputError: another type, fewer than two axes, no rows, NaN or infinity.
    """
    tensor = _tensor(x, name)
    if tensor.dim() == 2 and tensor.dtype != torch.uint8 and not (tensor.is_floating_point() or tensor.is_complex()):
        tensor = _as_floats(tensor, name)
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise InputError(f"{name} is {_dtype(tensor)}: expected uint8 pixels (0..255) or floats")
    if tensor.dim() < 2 or 0 in tensor.shape:
        raise InputError(
            f"{name} has shape {tuple(tensor.shape)}: expected (rows, ...) with at least one row and value"
        )
    if tensor.is_floating_point():
        row = _not_finite(tensor.nan_to_num(0.0, torch.inf, -torch.inf) if missing else tensor)
        if row is not None:
            raise InputError(f"{name} row {row} holds NaN or infinity: all values must be finite")
    return tensor


def labels(y: Any, rows: int, name: str, classes: int | None = None) -> Tensor:
    """Check labels and convert them to a host tensor.

    Args:
        y: integers ``(rows,)`` or ``(rows, 1)``.
        rows: number of examples.
        name: for messages.
        classes: C, or None when not known yet.

    Returns:
        ``(rows,)`` int64 with values 0..C-1.

    Raises:
        InputError: another shape or number of rows, values that are not integers or outside 0..C-1.
    """
    tensor = _tensor(y, name)
    if tensor.dim() == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.dim() != 1:
        raise InputError(f"{name} has shape {tuple(tensor.shape)}: expected one class number a row, ({rows},)")
    if len(tensor) != rows:
        raise InputError(f"{name} has {len(tensor)} rows but there are {rows} examples: expected one label an example")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"{name} is {_dtype(tensor)}: expected integer class numbers 0..C-1")
    tensor = tensor.long()
    low, high = int(tensor.min()), int(tensor.max())
    if low < 0 or (classes is not None and high >= classes):
        top = "C-1" if classes is None else str(classes - 1)
        raise InputError(f"{name} holds label {low if low < 0 else high}: expected 0..{top}")
    return tensor


def classes(y: Tensor, name: str) -> int:
    """Number of classes of training labels.

    Args:
        y: ``(N,)`` int64.
        name: for messages.

    Returns:
        C.

    Raises:
        InputError: one class only, or a label below the largest that no row has.
    """
    present = torch.unique(y).tolist()
    if len(present) < 2:
        raise InputError(f"{name} holds one class only, {present[0]}: expected at least two")
    if present[-1] >= len(present):
        absent = next(c for c, label in enumerate(present) if c != label)
        raise InputError(f"{name} holds labels up to {present[-1]} but none is {absent}: expected 0..C-1, all in use")
    return len(present)


def sha256(arrays: Mapping[str, Tensor]) -> str:
    """SHA-256 of decoded arrays: for each in order ``name dtype shape``, a newline, its bytes in C order.

    Readers hash ``x_train``, ``y_train`` and, when there is a test part, ``x_test``, ``y_test``: examples before
    normalisation (channels first), labels as int64. The same data in another container has the same hash.
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {_dtype(array)} {tuple(array.shape)}\n".encode())
        digest.update(array.contiguous().numpy().data if array.numel() else b"")
    return digest.hexdigest()


def sha256_of_files(files: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 of files in sorted order: for each ``path size``, a newline, then its bytes."""
    digest = hashlib.sha256()
    for path, content in files:
        digest.update(f"{path} {len(content)}\n".encode(errors="surrogateescape"))  # a name may be any bytes
        digest.update(content)
    return digest.hexdigest()


def _tensor(value: Any, name: str) -> Tensor:
    """Numbers of any kind as a host tensor."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return value.float() if value.dtype == torch.bfloat16 else value  # a type that numpy does not have
    if np.ma.is_masked(value):
        raise InputError(f"{name} is masked: fill its masked values, or leave these rows out")
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} has rows of different shapes: expected one shape for all") from None
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise InputError(f"{name} is an array of {array.dtype}: expected numbers of at most 64 bits")
    array = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(np.ascontiguousarray(array))


def _as_floats(x: Tensor, name: str) -> Tensor:
    """Integers or booleans as floats that hold them exactly."""
    if x.dtype.itemsize <= 2:
        return x.float()
    floats = x.double()
    if floats.abs().max() > _WHOLE:
        raise InputError(f"{name} holds whole numbers beyond 2^53, such as identifiers: leave this column out")
    return floats


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _not_finite(x: Tensor) -> int | None:
    """First row that holds NaN or infinity, or a number too large for torch's default floating type."""
    for first in range(0, len(x), 4096):
        rows = x[first : first + 4096].flatten(1).to(torch.get_default_dtype()).isfinite().all(1)
        if not rows.all():
            return first + int((~rows).nonzero()[0])
    return None
