"""Data ``folder:DIR``: images in ``train/<class>/`` and, if there is a test part, ``test/<class>/``."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bpfree.data import locations
from bpfree.data.reader import Raw, Reader
from bpfree.data.rows import Rows
from bpfree.data.settings import DataSettings
from bpfree.data.verification import sha256_of_files
from bpfree.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg")
_FORMATS = ("PNG", "JPEG")  # for some other formats Pillow starts programs
_MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}


class Folder(Reader):
    """Reader of PNG and JPEG images; the classes are the sorted folder names under ``train``.

    All images must have the size of the first one and are converted to its kind, gray or colour. They are decoded when
    they are used, once for a resident split. The hash is over the bytes of all files.
    """

    wants = "DIR"
    images = True

    def read(self, settings: DataSettings) -> Raw:
        root = locations.named_path(settings, self.where)
        if not (root / "train").is_dir():
            why = "has no train folder" if root.is_dir() else "is not a folder"
            raise InputError(f"{root} {why}: expected {root}/train/<class>/*.png or *.jpg")
        names = classes_in(root / "train")
        if len(names) < 2:
            why = f"holds one class only, {names[0]}" if names else "holds no class folders"
            raise InputError(f"{root / 'train'} {why}: expected at least two")
        train, y = listing(root / "train", names)
        tested = (root / "test").is_dir()
        test, y_test = listing(root / "test", names) if tested else ([], [])
        if tested and not test:
            raise InputError(f"{root / 'test'} holds no class folders: expected those of train, or no test folder")
        size, mode = _kind(train[0])
        digest = sha256_of_files(_checked(root, sorted(train + test), size))
        return Raw(
            self.name,
            f"image folder {root}",
            digest,
            FileRows(train, size, mode),
            torch.tensor(y),
            FileRows(test, size, mode) if test else None,
            torch.tensor(y_test) if test else None,
            tuple(names),
        )


class FileRows(Rows):
    """Rows of images that are decoded when they are gathered.

    Args:
        files: one for each row.
        size: required width and height of every image.
        mode: ``L`` (gray) or ``RGB``.

    Attributes:
        formats: formats of the files decoded so far, by content, not by suffix.
    """

    dtype = torch.uint8
    workers = min(8, os.cpu_count() or 1)

    def __init__(self, files: list[Path], size: tuple[int, int], mode: str) -> None:
        self.files, self.size, self.mode = files, size, mode
        self.shape = (1 if mode == "L" else 3, size[1], size[0])
        self.formats: set[str] = set()

    def __len__(self) -> int:
        return len(self.files)

    def gather(self, index: Tensor) -> Tensor:
        out = torch.empty((len(index), *self.shape), dtype=torch.uint8)
        for i, row in enumerate(index.tolist()):
            out[i] = self._decode(self.files[row])
        return out

    def _decode(self, file: Path) -> Tensor:
        with opened(file) as (image, _):
            _same_size(file, image.size, self.size)
            self.formats.add(str(image.format))
            pixels = np.array(image.convert(self.mode))  # (H, W) or (H, W, 3)
        return torch.from_numpy(pixels).view(self.size[1], self.size[0], -1).permute(2, 0, 1)


@contextmanager
def opened(file: Path) -> Iterator[tuple[Image.Image, bytes]]:
    """Open the image in ``file`` and read its bytes.

    Raises:
        InputError: it cannot be read, here or in the block under ``with``.
    """
    try:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            yield image, content
    except InputError:
        raise
    except Exception as error:  # for a damaged file Pillow can raise any error
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"  # that one names an object in memory
        raise InputError(f"cannot read image {file}: expected a complete PNG or JPEG{why}") from None


def _same_size(file: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    if size != expected:
        raise InputError(
            f"{file} is {size[0]}x{size[1]} pixels but the first image is {expected[0]}x{expected[1]}: "
            f"all images must have one size"
        )


def classes_in(folder: Path) -> list[str]:
    """Names of the folders in ``folder``, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def listing(folder: Path, names: list[str]) -> tuple[list[Path], list[int]]:
    """List the image files of a part.

    Args:
        folder: with one folder for each class.
        names: of the classes.

    Returns:
        Files, class by class in sorted order, and the class number of each.

    Raises:
        InputError: a folder that is no class, or one without images.
    """
    files: list[Path] = []
    y: list[int] = []
    for name in classes_in(folder):
        if name not in names:
            raise InputError(f"{folder / name} is a class that is not in train: expected one of {', '.join(names)}")
        images = sorted(file for file in (folder / name).iterdir() if file.suffix.lower() in _SUFFIXES)
        if not images:
            raise InputError(f"class folder {folder / name} holds no image: expected *.png or *.jpg")
        files += images
        y += [names.index(name)] * len(images)
    return files, y


def _kind(file: Path) -> tuple[tuple[int, int], str]:
    """Size (width, height) of an image and the mode to convert it to."""
    with opened(file) as (image, _):
        return image.size, _mode(file, image)


def _mode(file: Path, image: Image.Image) -> str:
    """Mode to convert ``image`` to."""
    if image.mode not in _MODES:
        raise InputError(f"{file} has pixels of mode {image.mode}: expected 8-bit gray or colour")
    return _MODES[image.mode]


def _checked(root: Path, files: list[Path], size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    """Relative path and bytes of each file, after a check of its header; the pixels are not decoded."""
    for file in files:
        with opened(file) as (image, content):
            _same_size(file, image.size, size)
            _mode(file, image)
        yield file.relative_to(root).as_posix(), content
