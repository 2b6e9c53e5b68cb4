"""Sets of picture files: their common form, their rows, and notes about what reading them changes."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bpfree.data.images.files import Facts, Form, PictureSettings, facts, pixels
from bpfree.data.images.formats import opened
from bpfree.data.rows import Rows
from bpfree.errors import InputError

_SAMPLE = 64  # pictures looked at, to see whether they differ
_EQUAL = 2 / 255  # largest difference between pixels that count as equal, as JPEG makes it


class FileRows(Rows):
    """Rows of pictures that are decoded when they are gathered.

    Args:
        files: one for each row.
        size: required width and height of every picture, unless the form resizes them.
        form: to bring them to.

    Attributes:
        formats: formats of the files decoded so far, by content, not by suffix.
    """

    workers = min(8, os.cpu_count() or 1)

    def __init__(self, files: list[Path], size: tuple[int, int], form: Form) -> None:
        self.files, self.size, self.form = files, size, form
        width, height = (form.side, form.side) if form.side else size
        self.shape = (form.channels, height, width)
        self.dtype = torch.float32 if form.deep else torch.uint8
        self.formats: set[str] = set()

    def __len__(self) -> int:
        return len(self.files)

    def gather(self, index: Tensor) -> Tensor:
        out = torch.empty((len(index), *self.shape), dtype=self.dtype)
        for i, row in enumerate(index.tolist()):
            out[i] = self._decode(self.files[row])
        return out

    def _decode(self, file: Path) -> Tensor:
        with opened(file) as (image, _):
            self.formats.add(str(image.format))
            array = torch.from_numpy(pixels(image, self.form).copy()).permute(2, 0, 1)
        if self.form.side is None:
            _same_size(file, (array.shape[2], array.shape[1]), self.size)
        if array.dtype != self.dtype:
            raise InputError(f"{file} has changed since it was listed: it has 16 bits now")
        return array


def look(file: Path, size: tuple[int, int] | None, like: str = "the first picture") -> tuple[Facts, bytes]:
    """Read the header of a picture file.

    Args:
        file: the picture.
        size: required width and height; None: any.
        like: what has that size, for the message.

    Returns:
        Its facts, and the bytes of the file.

    Raises:
        InputError: a damaged file, pixels of a kind that is not read, or another size.
    """
    with opened(file) as (image, content):
        seen = facts(image, file)
    if size is not None:
        _same_size(file, seen.size, size, like)
    return seen, content


def _same_size(file: Path, size: tuple[int, int], expected: tuple[int, int], like: str = "the first picture") -> None:
    if size != expected:
        raise InputError(
            f"{file} is {size[0]}x{size[1]} pixels but {like} is {expected[0]}x{expected[1]}: all must have one size, "
            f"or the setting size resizes them (--set size={min(expected)})"
        )


def common_form(seen: Sequence[Facts], settings: PictureSettings) -> Form:
    """Form of a set: colour if any picture is, floats if any is 16-bit gray."""
    channels = 3 if any(picture.colour for picture in seen) else 1
    return Form(channels, any(picture.deep for picture in seen), settings.background, settings.size)


def changes(seen: Sequence[Facts], form: Form) -> list[str]:
    """Notes about what reading the pictures changes.

    Args:
        seen: facts about each picture.
        form: that they are brought to.
    """
    of = f"of {len(seen):,}"
    counts = Counter(remark for picture in seen for remark in picture.remarks)
    notes = [
        f"pictures {remark.format(background=form.background)}: {n:,} {of}" for remark, n in sorted(counts.items())
    ]
    colour, deep = (sum(getattr(picture, kind) for picture in seen) for kind in ("colour", "deep"))
    if form.channels == 3 and colour < len(seen):
        notes.append(f"gray pictures, read as colour with three equal channels: {len(seen) - colour:,} {of}")
    if form.channels == 1 and colour:
        notes.append(f"colour pictures, read as gray as in training: {colour:,} {of}")
    if deep:
        notes.append(f"pictures of 16-bit gray, their values divided by 65535 (8-bit ones by 255): {deep:,} {of}")
    if form.side is not None and (others := sum(picture.size != (form.side, form.side) for picture in seen)):
        notes.append(f"pictures resized to {form.side}x{form.side}, whatever their shape: {others:,} {of}")
    return notes


def alike(rows: FileRows) -> list[str]:
    """A note if the pictures hardly differ from one another, as when what they show is in a channel that is not read.

    Raises:
        InputError: a damaged picture.
    """
    sample = rows.gather(torch.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).long()).float()
    if (sample.amax(0) - sample.amin(0)).max() > _EQUAL * (1 if rows.form.deep else 255):
        return []
    return [
        f"the pixels hardly vary from picture to picture ({len(sample)} looked at): is what they show in another "
        f"channel, or white on transparent (--background black)"
    ]
