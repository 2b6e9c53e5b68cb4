"""Checks of raw arrays, and their hash."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.errors import InputError


def examples(x: Any, name: str) -> Tensor:
    """``x`` as a host tensor ``(N, …)`` of bytes or floats.

    Raises:
        InputError: another type, fewer than two axes, no rows, NaN or infinity.
    """
    tensor = _tensor(x, name)
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise InputError(f"{name} is {_dtype(tensor)}: expected uint8 pixels (0..255) or floats")
    if tensor.dim() < 2 or 0 in tensor.shape:
        raise InputError(
            f"{name} has shape {tuple(tensor.shape)}: expected (rows, ...) with at least one row and value"
        )
    if tensor.is_floating_point():
        bad = _not_finite(tensor)
        if bad is not None:
            raise InputError(f"{name} row {bad} holds NaN or infinity: all values must be finite")
    return tensor


def labels(y: Any, rows: int, name: str, classes: int | None = None) -> Tensor:
    """``y`` as a host tensor ``(rows,)`` int64 with values 0..C-1.

    Args:
        y: integers ``(rows,)`` or ``(rows, 1)``.
        rows: how many there must be.
        name: for messages.
        classes: C, or None when not known yet.

    Raises:
        InputError: another shape or number of rows, values that are no integers or outside 0..C-1.
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
    """Number of classes C of training labels ``(N,)`` int64.

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
    """SHA-256 of decoded arrays: for each in the given order ``name dtype shape``, a newline, its bytes in C order.

    Readers give ``x_train``, ``y_train`` and, when there is a test part, ``x_test``, ``y_test``: examples as the net
    gets them before normalisation (channels first), labels as int64. The same data in another container has the same
    hash.
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {_dtype(array)} {tuple(array.shape)}\n".encode())
        digest.update(array.contiguous().numpy().data if array.numel() else b"")
    return digest.hexdigest()


def sha256_of_files(files: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 over files in the given (sorted) order: for each ``path size``, a newline, then its bytes."""
    digest = hashlib.sha256()
    for path, content in files:
        digest.update(f"{path} {len(content)}\n".encode(errors="surrogateescape"))  # a name may be any bytes
        digest.update(content)
    return digest.hexdigest()


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return value.float() if value.dtype == torch.bfloat16 else value  # a type that numpy does not have
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} has rows of different shapes: expected one shape for all") from None
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise InputError(f"{name} is an array of {array.dtype}: expected numbers of at most 64 bits")
    array = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(np.ascontiguousarray(array))


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _not_finite(x: Tensor) -> int | None:
    """First row that holds NaN or infinity, or a number too large for torch's default floating type."""
    for first in range(0, len(x), 4096):
        rows = x[first : first + 4096].flatten(1).to(torch.get_default_dtype()).isfinite().all(1)
        if not rows.all():
            return first + int((~rows).nonzero()[0])
    return None
