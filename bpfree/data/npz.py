"""``npz:FILE``: a compressed numpy file in the layout of keras."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bpfree.data import places
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
        path = places.given(settings, self.where)
        arrays = read_npz(path)
        images = {k: channels_first(v, f"{k} of {path}") if k.startswith("x") else v for k, v in arrays.items()}
        x, y, x_test, y_test = (images.get(name) for name in _NAMES)
        names = [f"{name} of {path}" for name in _NAMES]
        return from_arrays(self.name, f"file {path}", x, y, x_test, y_test, names=names)


def read_npz(path: Path, also: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of a keras-layout file, and those named in ``also``.

    Raises:
        InputError: no such file, unreadable, not an npz file, damaged, arrays missing, or arrays of Python objects.
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
            wanted = (*(_NAMES if "x_test" in file.files or "y_test" in file.files else _NAMES[:2]), *also)
            missing = [name for name in wanted if name not in file.files]
            if missing:
                held = ", ".join(file.files) or "nothing"
                raise InputError(f"{path} lacks {' and '.join(missing)}: expected {', '.join(_NAMES)}; it holds {held}")
            return {name: file[name] for name in wanted}
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
