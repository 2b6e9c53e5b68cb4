"""Examples to predict from files: pictures, folders of pictures, and numpy arrays."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bpfree.config.notes import tell
from bpfree.config.settings import build
from bpfree.data import verification
from bpfree.data.images.files import PictureSettings
from bpfree.data.images.layout import counted, pictures
from bpfree.data.images.sets import FileRows, changes, common_form, look
from bpfree.data.npz import read_arrays
from bpfree.data.rows import ArrayRows, Rows
from bpfree.errors import InputError

PICTURE_SETTINGS = tuple(PictureSettings.__dataclass_fields__)


def read_examples(path: Path, shape: tuple[int, ...], values: Mapping[str, Any]) -> tuple[Rows, list[str] | None]:
    """Raw examples from a file or folder; what reading them changes is told.

    Args:
        path: of a picture, of a folder of pictures, of a ``.npy`` array ``(N, …)``, or of a ``.npz`` file with ``x``.
        shape: of one training example.
        values: of `PictureSettings`, as in training.

    Returns:
        The examples, and the name of each where they are the pictures of a folder.

    Raises:
        InputError: no such file, not one of these, or pictures that training would refuse.
    """
    settings = build(PictureSettings, values)
    if path.is_dir():
        files, others = pictures(path)
        if not files:
            raise InputError(f"{path} holds no picture{f', but {counted(others)}' if others else ''}")
        if others:
            tell(f"files not read: {counted(others)}")
        return _pictures(files, shape, settings), [file.relative_to(path).as_posix() for file in files]
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    if path.suffix.lower() not in (".npy", ".npz"):
        return _pictures([path], shape, settings), None
    array = _array(path) if path.suffix.lower() == ".npy" else read_arrays(path, _examples_of(path)).popitem()[1]
    return ArrayRows(verification.examples(array, f"x of {path}")), None


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except verification.DAMAGED as error:
        raise InputError(f"cannot read {path}: expected a .npy array ({error})") from None


def _examples_of(path: Path) -> Any:
    """Choose the examples among the arrays of a ``.npz`` file."""

    def select(names: Collection[str]) -> list[str]:
        for name in ("x", "x_test"):
            if name in names:
                return [name]
        if len(names) == 1:
            return list(names)
        raise InputError(f"{path} holds {', '.join(names) or 'nothing'}: expected an array x")

    return select


def _pictures(files: list[Path], shape: tuple[int, ...], settings: PictureSettings) -> FileRows:
    """Rows of pictures, in the channels of the training."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        expected = ", ".join(map(str, shape))
        raise InputError(f"{files[0]} is a file for pictures, and this model was trained on examples of ({expected})")
    size = shape[2], shape[1]
    seen = [look(file, None if settings.size else size, "a picture in training")[0] for file in files]
    form = replace(common_form(seen, settings), channels=shape[0])
    for note in changes(seen, form):
        tell(note)
    return FileRows(files, size, form)
