"""Data ``folder:DIR``: pictures in ``train/<class>/`` or ``<class>/``, perhaps with ``val/`` and ``test/`` beside."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from bpfree.config.settings import settings
from bpfree.data import locations
from bpfree.data.images.files import Facts, PictureSettings
from bpfree.data.images.layout import classes_in, counted, listing, parts
from bpfree.data.images.sets import FileRows, alike, changes, common_form, look
from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings
from bpfree.data.verification import sha256_of_files
from bpfree.errors import InputError


@settings
class FolderSettings(DataSettings, PictureSettings):
    """Settings of an image folder."""


class Folder(Reader):
    """Reader of picture files; the classes are the sorted folder names, and ``val`` is the validation part.

    All pictures must have one size, unless ``size`` is set. One colour picture makes the set colour, one of 16-bit gray
    makes it floats. They are decoded when they are used, once for a resident split. The hash is over the bytes of all
    files.
    """

    Settings = FolderSettings
    wants = "DIR"
    images = True
    as_trained = ("background", "size")

    def read(self, settings: DataSettings) -> Raw:
        assert isinstance(settings, FolderSettings)
        root = locations.named_path(settings, self.where)
        folders = parts(root)
        names = classes_in(folders["train"])
        if len(names) < 2:
            why = f"holds one class only, {names[0]}" if names else "holds no class folders"
            raise InputError(f"{folders['train']} {why}: expected at least two")
        files: dict[str, list[Path]] = {"val": [], "test": []}
        labels: dict[str, list[int]] = {"val": [], "test": []}
        left_out = Counter[str]()
        for part, folder in folders.items():
            files[part], labels[part], others = listing(folder, names)
            left_out += others
            if not files[part]:
                raise InputError(f"{folder} holds no class folders: expected those of train, or no such folder")
        first = look(files["train"][0], None)[0]
        seen: list[Facts] = []

        def contents() -> Iterator[tuple[str, bytes]]:
            for file in sorted(file for part in files.values() for file in part):
                picture, content = look(file, None if settings.size else first.size)
                seen.append(picture)
                yield file.relative_to(root).as_posix(), content

        digest = sha256_of_files(contents())
        form = common_form(seen, settings)
        x = FileRows(files["train"] + files["val"], first.size, form)
        notes = _layout(root, folders, left_out, len(files["val"]))
        train = len(files["train"])
        return Raw(
            self.name,
            f"image folder {root}",
            digest,
            x,
            torch.tensor(labels["train"] + labels["val"]),
            FileRows(files["test"], first.size, form) if files["test"] else None,
            torch.tensor(labels["test"]) if files["test"] else None,
            tuple(names),
            held_out=torch.arange(train, len(x)) if files["val"] else None,
            notes=(*notes, *changes(seen, form), *alike(x)),
        )


def _layout(root: Path, folders: dict[str, Path], left_out: Counter[str], held_out: int) -> list[str]:
    """Notes about which folders and files are read."""
    notes = []
    if folders["train"] == root:
        notes.append(f"no train folder: the {len(classes_in(root))} folders of {root} are the classes")
    elif others := sorted(set(classes_in(root)) - {folder.name for folder in folders.values()}):
        notes.append(f"folders not read: {', '.join(others)}")
    if held_out:
        notes.append(f"validation part: the {held_out:,} pictures in {folders['val'].name}, whatever val_fraction")
    if left_out:
        notes.append(f"files not read: {counted(left_out)}")
    return notes
