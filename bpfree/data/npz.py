"""Data ``npz:FILE``: a compressed numpy file in the layout of keras."""

import zipfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bpfree.data import locations
from bpfree.data.reader import Raw, Reader, from_arrays
from bpfree.data.settings import DataSettings
from bpfree.data.verification import DAMAGED
from bpfree.errors import InputError

_NAMES = ("x_train", "y_train", "x_test", "y_test")


class Npz(Reader):
    """Reader of arrays ``x_train``, ``y_train`` and, if there is a test part, ``x_test``, ``y_test``.

    Shapes: features ``(N, F)``, gray images ``(N, H, W)``, colour images ``(N, H, W, C)`` or ``(N, C, H, W)``.
    """

    wants = "FILE"

    def read(self, settings: DataSettings) -> Raw:
        path = locations.named_path(settings, self.where)
        arrays = read_npz(path)
        images = {k: channels_first(v, f"{k} of {path}") if k.startswith("x") else v for k, v in arrays.items()}
        x, y, x_test, y_test = (images.get(name) for name in _NAMES)
        names = [f"{name} of {path}" for name in _NAMES]
        return from_arrays(self.name, f"file {path}", x, y, x_test, y_test, names=names, task=settings.task)


def read_npz(path: Path, extra: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of a file in the layout of keras.

    Args:
        path: of the file.
        extra: names of additional arrays.

    Returns:
        Arrays by name.

    Raises:
        InputError: an array is missing, or as in `read_arrays`.
    """

    def select(names: Collection[str]) -> list[str]:
        needed = [*(_NAMES if "x_test" in names or "y_test" in names else _NAMES[:2]), *extra]
        if missing := [name for name in needed if name not in names]:
            lacks, expected = " and ".join(missing), ", ".join(_NAMES)
            raise InputError(f"{path} lacks {lacks}: expected {expected}; it holds {', '.join(names) or 'nothing'}")
        return needed

    return read_arrays(path, select)


def read_arrays(path: Path, select: Callable[[Collection[str]], Iterable[str]]) -> dict[str, np.ndarray]:
    """Read arrays of a numpy archive.

    Args:
        path: of the archive.
        select: from the names in the archive to those of the arrays to read.

    Returns:
        Arrays by name.

    Raises:
        InputError: no such file, unreadable, not an npz file, damaged, or arrays of Python objects.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    damaged = InputError(f"{path} is damaged, cut short or not an .npz file: write it with numpy.savez_compressed")
    if not zipfile.is_zipfile(path):
        raise damaged
    try:
        with np.load(path, allow_pickle=False) as file:
            if len(file.files) != _entries(path):  # a damaged directory may hide arrays
                raise damaged
            return {name: file[name] for name in select(file.files)}
    except DAMAGED as error:
        if "allow_pickle" in str(error):
            raise InputError(f"{path} holds pickled Python objects: expected plain numeric arrays") from None
        raise damaged from None


def _entries(path: Path) -> int:
    """Number of files in a zip archive, by the record at its end (APPNOTE 4.3.16)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 22 - 65_535))  # the record, and a comment behind it
        end = file.read()
    at = end.rfind(b"PK\x05\x06")
    return int.from_bytes(end[at + 10 : at + 12], "little")


def channels_first(x: Any, name: str) -> np.ndarray:
    """Move the channels of images to the second axis.

    Args:
        x: images ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``, C one of 1, 3, 4, or features ``(N, F)``.
        name: for the message.

    Returns:
        Images ``(N, C, H, W)``, or the features. When both the second and the last axis could be the channels, the last
        one is, as in keras.

    Raises:
        InputError: another shape.
    """
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in (1, 3, 4):
        return x.transpose(0, 3, 1, 2)
    if x.ndim == 2 or (x.ndim == 4 and x.shape[1] in (1, 3, 4)):
        return x
    raise InputError(
        f"{name} has shape {x.shape}: expected (N, features), (N, height, width) or (N, height, width, channels) "
        f"with 1, 3 or 4 channels"
    )
