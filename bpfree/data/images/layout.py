"""Layout of an image folder: parts, class folders, and the files in them."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bpfree.data.images.formats import suffixes
from bpfree.errors import InputError

PARTS = {  # names of the folder of a part, in any case
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_LEFTOVERS = ("thumbs.db", "desktop.ini", "__macosx")  # of Windows and macOS, beside hidden files


def parts(root: Path) -> dict[str, Path]:
    """Folders of the parts that there are; ``train`` is ``root`` itself where that holds the class folders.

    Args:
        root: the image folder.

    Raises:
        InputError: no folder, two folders for one part, or parts without one to train on.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: expected {root}/train/<class>/*.png or other pictures")
    folders = classes_in(root)
    there = {part: [name for name in folders if name.lower() in names] for part, names in PARTS.items()}
    for part, names in there.items():
        if len(names) > 1:
            raise InputError(f"{root} holds {' and '.join(names)}: expected one {part} folder")
    if not folders or (not there["train"] and (there["val"] or there["test"])):
        raise InputError(f"{root} has no train folder: expected {root}/train/<class>/*.png, or {root}/<class>/*.png")
    if not there["train"]:
        return {"train": root}
    return {part: root / names[0] for part, names in there.items() if names}


def classes_in(folder: Path) -> list[str]:
    """Names of the folders in ``folder``, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _leftover(entry.name))


def listing(folder: Path, names: list[str]) -> tuple[list[Path], list[int], Counter[str]]:
    """List the image files of a part.

    Args:
        folder: with one folder for each class, and other folders within these.
        names: of the classes.

    Returns:
        Files, class by class in sorted order; the class number of each; numbers of files that are not read, by kind.

    Raises:
        InputError: a folder that is no class, or one without images.
    """
    files: list[Path] = []
    y: list[int] = []
    left_out = Counter("beside the class folders" for entry in folder.iterdir() if entry.is_file())
    for name in classes_in(folder):
        if name not in names:
            raise InputError(f"{folder / name} is a class that is not in train: expected one of {', '.join(names)}")
        images, others = pictures(folder / name)
        if not images:
            but = f", but {counted(others)}" if others else ""
            raise InputError(f"class folder {folder / name} holds no image{but}: expected *.png, *.jpg or the like")
        files += images
        y += [names.index(name)] * len(images)
        left_out += others
    return files, y, left_out


def pictures(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Picture files in a folder and in those within it, sorted, and numbers of the other files by kind."""
    images, others = [], Counter[str]()
    for file in _files(folder, frozenset()):
        if _leftover(file.name):
            others["hidden or left by the system"] += 1
        elif file.suffix.lower() in suffixes():
            images.append(file)
        else:
            others[file.suffix.lower() or "without a suffix"] += 1
    return sorted(images), others


def counted(kinds: Counter[str]) -> str:
    """Numbers by kind, such as ``3 .txt, 1 .heic``."""
    return ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items()))


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Files in ``folder`` and below, without hidden folders; a link back to a folder ``above`` is not followed."""
    here = os.path.realpath(folder)
    for entry in () if here in above else folder.iterdir():
        if not entry.is_dir():
            yield entry
        elif not _leftover(entry.name):
            yield from _files(entry, above | {here})


def _leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFTOVERS
