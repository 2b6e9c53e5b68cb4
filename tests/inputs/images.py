"""Picture files and folders of them, as users bring them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bpfree.data.images.cifar10 import Cifar10
from tests.inputs.case import Case
from tests.inputs.pictures import (
    COLOUR,
    DEEP,
    GRAY,
    RNG,
    ROWS,
    as_viewed,
    damaged,
    deeper,
    drawn_in_alpha,
    expected_palette,
    learnt,
    loaded_from,
    many_suffixes,
    notes,
    over,
    palette_with_transparency,
    pillow,
    rows,
    rows_of_each_part,
    several_frames,
    turned,
    with_leftovers,
    write,
)


def folder(
    name: str,
    pictures: Callable[[Path], Path] | Mapping[str, Any],
    read: Callable[[Any], Any],
    expected: Callable[[Any], Any] | str,
    door: str = "data",
) -> Case:
    make = pictures if callable(pictures) else lambda root: write(root, pictures)
    return Case(f"folder: {name}", door, make, read, expected)


def lines(*texts: str) -> Callable[[Path], list[str]]:
    return lambda root: [text.format(root=root) for text in texts]


def cases() -> list[Case]:
    alpha, transparent = drawn_in_alpha(), RNG.integers(0, 256, (6, 5, 4, 4), dtype=np.uint8)
    one_gray = [GRAY[0], *COLOUR[1:]]
    sixteen_and_eight = [*DEEP[:3], *GRAY[3:]]
    cmyk = [Image.fromarray(picture).convert("CMYK") for picture in COLOUR]
    palettes = [palette_with_transparency(number) for number in range(6)]
    class_folders = {f"{name}/{number}.png": COLOUR[number] for name in "ab" for number in range(6)}
    few = {f"train/{name}/{number}.png": COLOUR[number] for name, n in (("cat", 6), ("eel", 1)) for number in range(n)}
    ten = {f"train/{name}/{number}.png": COLOUR[number] for name in "abcdef" for number in range(2)}
    return [
        folder("colour PNG", rows(COLOUR), learnt, pillow("RGB")),
        folder("gray PNG", rows(GRAY), learnt, pillow("L")),
        folder("bilevel PNG", rows([Image.fromarray(g).convert("1") for g in GRAY]), learnt, pillow("L")),
        folder("palette GIF", rows([Image.fromarray(c) for c in COLOUR], "gif"), learnt, pillow("RGB")),
        folder("CMYK JPEG", rows(cmyk, "jpg"), learnt, pillow("RGB")),
        folder(
            "CMYK JPEG, told",
            rows(cmyk, "jpg"),
            notes,
            lines(
                "validation part: the 2 pictures in val, whatever val_fraction",
                "pictures converted from CMYK to RGB: 6 of 6",
            ),
        ),
        folder("RGBA with the drawing in the alpha channel", rows(alpha), learnt, lambda _: over(1, alpha[:4])),
        folder(
            "RGBA over black",
            rows(transparent),
            lambda root: np.round(learnt(root, background="black") * 255),
            lambda _: np.round(over(0, transparent[:4]) * 255),
        ),
        folder(
            "RGBA, told",
            rows(alpha),
            notes,
            lines(
                "validation part: the 2 pictures in val, whatever val_fraction",
                "pictures with transparency, composited over white: 6 of 6",
            ),
        ),
        folder(
            "white drawn on transparent: nothing to see on white",
            rows(alpha | np.array([255, 255, 255, 0], np.uint8)),
            lambda root: notes(root)[-1][:45],
            lambda _: "the pixels hardly vary from picture to picture"[:45],
        ),
        folder("palette with a transparent colour", rows(palettes), learnt, expected_palette),
        folder("one gray scan that sorts first among colour", rows(one_gray), learnt, pillow("RGB")),
        folder(
            "one gray scan among colour, told",
            rows(one_gray),
            notes,
            lines(
                "validation part: the 2 pictures in val, whatever val_fraction",
                "gray pictures, read as colour with three equal channels: 1 of 6",
            ),
        ),
        folder("16-bit gray PNG of values 300 to 500", rows(DEEP), learnt, lambda _: DEEP[:4, None] / 65535),
        folder("16-bit gray TIFF", rows(DEEP, "tif"), learnt, lambda _: DEEP[:4, None] / 65535),
        folder(
            "16-bit gray beside 8-bit",
            rows(sixteen_and_eight),
            learnt,
            lambda _: np.concatenate([DEEP[:3, None] / 65535, GRAY[3:4, None] / 255]),
        ),
        folder(
            "float TIFF",
            rows([Image.fromarray(g.astype(np.float32)) for g in GRAY], "tif"),
            learnt,
            "has pixels of mode F: expected gray or colour of 8 bits, or gray of 16",
        ),
        folder(
            "32-bit TIFF",
            rows([Image.fromarray(g.astype(np.int32)) for g in GRAY], "tif"),
            learnt,
            "has pixels of mode I: expected gray or colour of 8 bits, or gray of 16",
        ),
        folder("JPEG turned by EXIF", turned, learnt, as_viewed),
        folder(
            "JPEG turned by EXIF, told",
            turned,
            notes,
            lines(
                "validation part: the 2 pictures in val, whatever val_fraction",
                "pictures turned as their EXIF orientation says: 6 of 6",
            ),
        ),
        folder(
            "leftovers of macOS and Windows", with_leftovers, learnt, lambda _: COLOUR[:4].transpose(0, 3, 1, 2) / 255
        ),
        folder(
            "leftovers, told",
            with_leftovers,
            notes,
            lines(
                "validation part: the 2 pictures in val, whatever val_fraction",
                "files not read: 1 .txt, 1 beside the class folders, 2 hidden or left by the system",
            ),
        ),
        folder("deeper folders", deeper, learnt, lambda _: COLOUR[:4].transpose(0, 3, 1, 2) / 255),
        folder("bmp, tif, WEBP beside png", many_suffixes, learnt, lambda _: COLOUR[:4].transpose(0, 3, 1, 2) / 255),
        folder("several frames", several_frames, learnt, lambda _: COLOUR[:4].transpose(0, 3, 1, 2) / 255),
        folder(
            "several frames, told",
            several_frames,
            notes,
            lines(
                "validation part: the 2 pictures in val, whatever val_fraction",
                "pictures with several frames or layers, of which the first is read: 6 of 6",
            ),
        ),
        folder(
            "train, val and test",
            {**rows(COLOUR), "test/b/0.png": COLOUR[0]},
            rows_of_each_part,
            lambda _: {"train": 4, "val": 2, "test": 1},
        ),
        folder(
            "val under the name Validation",
            {n.replace("val", "Validation"): p for n, p in rows(COLOUR).items()},
            rows_of_each_part,
            lambda _: {"train": 4, "val": 2, "test": 0},
        ),
        folder(
            "val and valid",
            {**rows(COLOUR), "valid/a/0.png": COLOUR[0]},
            learnt,
            "holds val and valid: expected one val",
        ),
        folder("class folders without train", class_folders, loaded_from, lambda _: [10, 2, *[0] * 6, *[1] * 6]),
        folder(
            "class folders without train, told",
            class_folders,
            notes,
            lines("no train folder: the 2 folders of {root} are the classes"),
        ),
        folder("test without train", {"test/a/0.png": COLOUR[0]}, learnt, "has no train folder: expected"),
        folder(
            "another size",
            {**rows(COLOUR), "train/b/1.png": COLOUR[0][:3]},
            learnt,
            "1.png is 4x3 pixels but the first picture is 4x5",
        ),
        folder(
            "another size, resized",
            {**rows(GRAY), "train/b/1.png": GRAY[0][:3]},
            lambda root: learnt(root, size=3),
            lambda root: np.stack(
                [np.asarray(Image.open(root / f"{name}.png").resize((3, 3), 2))[None] / 255 for name in ROWS[:4]]
            ),
        ),
        folder("a damaged picture", damaged, learnt, "train/b/1.png"),
        folder(
            "a class of one picture", few, learnt, "class eel has 1 training row: a validation split needs at least 2"
        ),
        folder("too few rows for the fraction", ten, learnt, "as with --val-fraction 0.5"),
        folder(
            "an EPS file by the name of a PNG",
            {**rows(COLOUR), "train/b/1.png": b"%!PS-Adobe-3.0 EPSF-3.0\n"},
            learnt,
            "cannot read image",
        ),
        folder(
            "a class of pictures that Pillow does not read",
            {**rows(COLOUR), "train/c/0.heic": b"ftypheic"},
            learnt,
            "c holds no image, but 1 .heic",
        ),
        Case(
            "cifar10_images: classes that are not those of CIFAR-10",
            "data",
            lambda root: write(root, {f"cifar10_images/{name}": picture for name, picture in rows(COLOUR).items()}),
            lambda root: Cifar10("cifar10").load({"data_dir": str(root)}),
            "holds the classes a, b: expected airplane",
        ),
    ]
