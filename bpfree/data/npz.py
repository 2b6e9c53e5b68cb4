"""``npz:FILE``: a compressed numpy file in the layout of keras."""

import zipfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bpfree.data import locations
from bpfree.data.damaged import DAMAGED
from bpfree.data.reader import Raw, Reader, from_arrays
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError

_NAMES = ("x_train", "y_train", "x_test", "y_test")


class Npz(Reader):
    """Arrays ``x_train``, ``y_train`` and, if there is a test part, ``x_test``, ``y_test``.

    Shapes: features ``(N, F)``, gray images ``(N, H, W)``, colour images ``(N, H, W, C)`` or ``(N, C, H, W)``.
    """

    wants = "FILE"

    def read(self, settings: DataSettings) -> Raw:
        path = locations.given(settings, self.where)
        arrays = read_npz(path)
        images = {k: channels_first(v, f"{k} of {path}") if k.startswith("x") else v for k, v in arrays.items()}
        x, y, x_test, y_test = (images.get(name) for name in _NAMES)
        names = [f"{name} of {path}" for name in _NAMES]
        return from_arrays(self.name, f"file {path}", x, y, x_test, y_test, names=names)


def read_npz(path: Path, also: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of a keras-layout file, and those named in ``also``; `read_arrays` says what it raises."""

    def wanted(held: Collection[str]) -> list[str]:
        names = [*(_NAMES if "x_test" in held or "y_test" in held else _NAMES[:2]), *also]
        if missing := [name for name in names if name not in held]:
            lacks, expected = " and ".join(missing), ", ".join(_NAMES)
            raise InputError(f"{path} lacks {lacks}: expected {expected}; it holds {', '.join(held) or 'nothing'}")
        return names

    return read_arrays(path, wanted)


def read_arrays(path: Path, wanted: Callable[[Collection[str]], Iterable[str]]) -> dict[str, np.ndarray]:
    """Arrays of a numpy archive; ``wanted`` chooses from the names that it holds.

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
            return {name: file[name] for name in wanted(file.files)}
    except DAMAGED as error:
        if "allow_pickle" in str(error):
            raise InputError(f"{path} holds pickled Python objects: expected plain numeric arrays") from None
        raise damaged from None


def _entries(path: Path) -> int:
    """How many files a zip archive holds, by the record at its end (APPNOTE 4.3.16)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 22 - 65_535))  # the record, and a comment behind it
        end = file.read()
    at = end.rfind(b"PK\x05\x06")
    return int.from_bytes(end[at + 10 : at + 12], "little")


def channels_first(x: Any, name: str) -> np.ndarray:
    """Images ``(N, H, W)`` or ``(N, H, W, C)`` as ``(N, C, H, W)``, C one of 1, 3, 4; features ``(N, F)`` as they are.

    When both the second and the last axis could be the channels, the last one is, as in keras.
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
