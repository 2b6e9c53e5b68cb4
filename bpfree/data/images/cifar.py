"""CIFAR-10 and CIFAR-100 in any of their published forms, none of which is run as a program.

The payload is the content of the binary version: for each image a record of one label byte (CIFAR-100: coarse, then
fine) and 3,072 pixel bytes, red, green, blue. The Python version, which torchvision and keras keep, holds the same
bytes in a pickle; `bpfree.data.safe_pickle` reads them and they are put into records, so that one SHA-256 checks both.
"""

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bpfree.data import safe_pickle
from bpfree.data.published import Published, sha256, wrong
from bpfree.data.reader import Raw, from_arrays

_PIXELS = 3 * 32 * 32
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, KeyError, ValueError, TypeError, OverflowError)
_Open = Callable[[str], bytes | None]  # content of a file of the set, by name; None: it is not there


class Cifar(Published):
    """Reader of one of the two sets.

    Attributes:
        names: one for each class.
        labels: keys of the label bytes of a record in the Python version; the last one is the class.
        binary: folder of the binary version, names of its training files, name of its test file.
        python: the same of the Python version.
        rows: number of images in the training and in the test part.
        payload: SHA-256 of the records of both parts.
    """

    images = True

    names: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...]]
    binary: ClassVar[tuple[str, ...]]
    python: ClassVar[tuple[str, ...]]
    rows: ClassVar[tuple[int, int]] = (50_000, 10_000)
    payload: ClassVar[tuple[str, str]]

    def check(self, file: Path) -> list[np.ndarray]:
        return self._records(file)

    def open(self, place: Path) -> Raw | None:
        if not place.exists():
            return None
        parts = self._records(place)
        (x, y), (x_test, y_test) = (
            (part[:, -_PIXELS:].reshape(-1, 3, 32, 32), part[:, len(self.labels) - 1]) for part in parts
        )
        raw = from_arrays(self.name, self.source(place), x, y, x_test, y_test)
        return replace(raw, class_names=self.names)

    def _records(self, place: Path) -> list[np.ndarray]:
        """Training and test records ``(N, len(labels) + 3072)`` of a folder or an archive, checked."""
        try:
            if place.is_dir():
                parts = self._parts(lambda name: _content(place / name))
            else:
                with tarfile.open(place, "r:gz") as archive:
                    inside = {
                        Path(m.name).name: archive.extractfile(m).read()  # type: ignore[union-attr]
                        for m in archive
                        if m.isfile() and m.size <= 10 * self.rows[0] * _PIXELS
                    }
                parts = self._parts(inside.get)
        except _DAMAGED as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise wrong(place, self.title, f"damaged or cut short: {why}") from None
        for part, rows, expected in zip(parts, self.rows, self.payload, strict=True):
            digest = sha256(part.tobytes())
            if len(part) != rows or digest != expected:
                why = f"{len(part):,} images with SHA-256 {digest[:12]}…, expected {rows:,} with {expected[:12]}…"
                raise wrong(place, self.title, why)
        return parts

    def _parts(self, content: _Open) -> list[np.ndarray]:
        """Records of the training files and of the test file, of the version that is there."""
        for (_, *names), decode in ((self.binary, self._from_binary), (self.python, self._from_python)):
            files = [content(name) for name in names]
            if all(file is not None for file in files):
                records = [decode(file) for file in files if file is not None]
                return [np.concatenate(records[:-1]), records[-1]]
        raise ValueError(f"it lacks some of {', '.join(self.python[1:])} (or {', '.join(self.binary[1:])})")

    def _from_binary(self, content: bytes) -> np.ndarray:
        return np.frombuffer(content, np.uint8).reshape(-1, len(self.labels) + _PIXELS)

    def _from_python(self, content: bytes) -> np.ndarray:
        batch: dict[str, Any] = safe_pickle.load(content)
        labels = [np.asarray(batch[key], dtype=np.int64).reshape(-1, 1) for key in self.labels]
        pixels = np.asarray(batch["data"]).reshape(-1, _PIXELS)
        if min(map(np.min, labels)) < 0 or max(map(np.max, labels)) > 255:
            raise ValueError("labels that do not fit into a byte")
        return np.concatenate([*(label.astype(np.uint8) for label in labels), pixels], axis=1)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
