"""Examples to predict from files: pictures, folders of pictures, and numpy arrays."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bpfree.config.notes import tell
from bpfree.config.settings import build
from bpfree.data import verification
from bpfree.data.images.files import Facts, Form, PictureSettings, facts, pixels
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


def images_in(x: Any) -> list[Image.Image]:
    """Pictures of Pillow's that ``x`` is, or is a list of; empty: it is something else."""
    images = [x] if isinstance(x, Image.Image) else x
    same = isinstance(images, list | tuple) and all(isinstance(image, Image.Image) for image in images)
    return list(images) if same else []


def rows_of_images(images: list[Image.Image], shape: tuple[int, ...], values: Mapping[str, Any]) -> Rows:
    """Raw examples from pictures in memory, as `read_examples` has them from files."""
    settings = build(PictureSettings, values)
    _refuse_pictures("x", shape)
    seen = [facts(image, f"picture {number} of x") for number, image in enumerate(images)]
    for number, picture in enumerate(seen):
        if settings.size is None and picture.size != shape[:0:-1]:
            (width, height), (x, y) = picture.size, shape[:0:-1]
            raise InputError(f"picture {number} of x is {width}x{height} pixels but a picture in training is {x}x{y}")
    form = _form(seen, shape, settings)
    return ArrayRows(torch.from_numpy(np.stack([pixels(image, form) for image in images])).permute(0, 3, 1, 2))


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
    """Rows of picture files."""
    _refuse_pictures(files[0], shape)
    size = shape[2], shape[1]
    seen = [look(file, None if settings.size else size, "a picture in training")[0] for file in files]
    return FileRows(files, size, _form(seen, shape, settings))


def _refuse_pictures(name: object, shape: tuple[int, ...]) -> None:
    """Refuse pictures where training saw something else."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        expected = ", ".join(map(str, shape))
        raise InputError(f"{name} is a picture, and this model was trained on examples of ({expected})")


def _form(seen: list[Facts], shape: tuple[int, ...], settings: PictureSettings) -> Form:
    """Form of pictures in the channels of the training; what they are changed in is told."""
    form = replace(common_form(seen, settings), channels=shape[0])
    for note in changes(seen, form):
        tell(note)
    return form
