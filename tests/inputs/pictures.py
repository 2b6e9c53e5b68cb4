"""Pictures to write into folders, and how they are read: by bpfree, by Pillow, and by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from bpfree.data import load, reader_of

Array = np.ndarray
RNG = np.random.default_rng(17)
COLOUR = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)  # six pictures of 4x5 pixels
GRAY = COLOUR[..., 0].copy()
DEEP = RNG.integers(300, 501, (6, 5, 4), dtype=np.uint16)
ROWS = ("train/a/0", "train/a/1", "train/b/0", "train/b/1", "val/a/0", "val/b/0")  # one for each picture


def write(root: Path, pictures: Mapping[str, Any], **options: Any) -> Path:
    """Save arrays and pictures, and write bytes, each under its path in ``root``."""
    for name, picture in pictures.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(picture, bytes):
            file.write_bytes(picture)
        else:
            (Image.fromarray(picture) if isinstance(picture, Array) else picture).save(file, **options)
    return root


def rows(pictures: Any, suffix: str = "png") -> dict[str, Any]:
    """Six pictures under the names of `ROWS`."""
    return {f"{name}.{suffix}": picture for name, picture in zip(ROWS, pictures, strict=True)}


def learnt(root: Path, **settings: Any) -> Array:
    """Training pictures ``(N, C, H, W)`` in the order of their files, as a net would see them."""
    data = load(f"folder:{root}", settings)
    return next(data.train.to("cpu", 10).batches(99)).x.numpy()


def notes(root: Path, **settings: Any) -> list[str]:
    return list(load(f"folder:{root}", settings).notes)


def rows_of_each_part(root: Path) -> dict[str, int]:
    return reader_of(f"folder:{root}").describe()["rows"]


def pillow(mode: str) -> Callable[[Path], Array]:
    """Pillow's own reading of the training files, one colour or gray picture after another, as 0..1."""

    def read(root: Path) -> Array:
        files = sorted(file for file in (root / "train").rglob("*.*") if file.is_file())
        arrays = [np.asarray(Image.open(file).convert(mode), np.float64) / 255 for file in files]
        return np.stack([array[None] if mode == "L" else array.transpose(2, 0, 1) for array in arrays])

    return read


def over(behind: float, pictures: Array) -> Array:
    """Pictures ``(N, H, W, 4)`` over a gray background, by hand."""
    alpha = pictures[..., 3:].astype(np.float64) / 255
    return (pictures[..., :3] / 255 * alpha + behind * (1 - alpha)).transpose(0, 3, 1, 2)


def drawn_in_alpha() -> Array:
    """Six black pictures whose drawing is in the alpha channel, wholly opaque or wholly transparent."""
    pictures = np.zeros((6, 5, 4, 4), np.uint8)
    pictures[..., 3] = np.where(GRAY > 127, 255, 0)
    return pictures


def palette_with_transparency(number: int) -> Image.Image:
    image = Image.fromarray(GRAY[number] % 3).convert("P")
    image.putpalette([9, 9, 9, 255, 0, 0, 0, 0, 255])
    image.info["transparency"] = 0
    return image


def expected_palette(root: Path) -> Array:
    colours = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1]], np.float64)
    return colours[GRAY[:4] % 3].transpose(0, 3, 1, 2)


def turned(root: Path) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return write(root, rows(COLOUR, "jpg"), exif=exif, quality=100)


def as_viewed(root: Path) -> Array:
    files = sorted((root / "train").rglob("*.jpg"))
    return np.stack([np.asarray(ImageOps.exif_transpose(Image.open(f))).transpose(2, 0, 1) / 255 for f in files])


def with_leftovers(root: Path) -> Path:
    extra = {"train/a/._0.png": b"\0\5\26\7", "train/.DS_Store": b"Bud1", "train/a/Thumbs.db": b"\xd0\xcf"}
    return write(root, {**rows(COLOUR), **extra, "train/b/notes.txt": b"seen", "train/__MACOSX/x.png": b"", "me": b""})


def deeper(root: Path) -> Path:
    names = ("train/a/x/0", "train/a/y/z/1", "train/b/0", "train/b/x/1", "val/a/0", "val/b/deep/0")
    return write(root, {f"{name}.png": picture for name, picture in zip(names, COLOUR, strict=True)})


def many_suffixes(root: Path) -> Path:
    names = ("train/a/0.bmp", "train/a/1.tif", "train/b/0.WEBP", "train/b/1.png", "val/a/0.tga", "val/b/0.ppm")
    return write(root, dict(zip(names, COLOUR, strict=True)), lossless=True)


def several_frames(root: Path) -> Path:
    frames = [Image.fromarray(picture) for picture in COLOUR]
    return write(root, rows(frames, "tif"), save_all=True, append_images=frames[:1])


def damaged(root: Path) -> Path:
    write(root, rows(RNG.integers(0, 256, (6, 20, 20, 3), dtype=np.uint8)))
    file = root / "train" / "b" / "1.png"
    file.write_bytes(file.read_bytes()[:600])
    return root


def loaded_from(root: Path) -> Array:
    """The classes of the training rows and the size of each part, of a folder without ``val``."""
    data = load(f"folder:{root}")
    return np.array([len(data.train), len(data.val), *sorted(torch.cat([data.train.y, data.val.y]).tolist())])
