"""Gray images in the four IDX files of MNIST, ``{train,t10k}-{images-idx3,labels-idx1}-ubyte``."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from bpfree.data import locations
from bpfree.data.fetching import Remote
from bpfree.data.published import Published, sha256, wrong
from bpfree.data.reader import Raw, from_arrays
from bpfree.errors import InputError

_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class Idx(Published):
    """Reader of a set in IDX files, each plain or as ``.gz``.

    Attributes:
        names: one for each class.
        shapes: of the four arrays.
        payload: SHA-256 of each decompressed file, or "" where it is not published.
        packed: SHA-256 of each published ``.gz``; needed where that of the payload is not published.
    """

    images = True

    names: ClassVar[tuple[str, ...]]
    shapes: ClassVar[tuple[tuple[int, ...], ...]] = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))
    payload: ClassVar[tuple[str, ...]] = ("", "", "", "")
    packed: ClassVar[tuple[str, ...]] = ("", "", "", "")

    def open(self, place: Path) -> Raw | None:
        files = [self._at(place, number) for number in range(4)]
        if not any(files) and not all(self.payload) and (place / _STEMS[0]).is_file():
            raise InputError(f"{place} holds unpacked files, which cannot be checked: put the four .gz files there")
        fetching = place == locations.downloads() / self.folder  # some files may be missing after an interruption
        if not any(files) or (fetching and not all(files)):
            return None
        arrays = []
        for number, file in enumerate(files):
            if file is None:
                raise InputError(f"{place} lacks {_STEMS[number]}.gz: all four files of {self.title} are needed")
            arrays.append(self._array(file, number))
        x, y, x_test, y_test = arrays
        raw = from_arrays(self.name, self.source(place), x[:, None], y, x_test[:, None], y_test)
        return replace(raw, class_names=self.names)

    def check(self, file: Path) -> np.ndarray:
        return self._array(file, _STEMS.index(file.name.partition(".")[0]))

    def _at(self, place: Path, number: int) -> Path | None:
        suffixes = (".gz", "") if self.payload[number] else (".gz",)
        candidates = (place / (_STEMS[number] + suffix) for suffix in suffixes)
        return next((file for file in candidates if file.is_file()), None)

    def _array(self, file: Path, number: int) -> np.ndarray:
        """Read and check the array of file ``number``."""
        shape = self.shapes[number]
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        size = len(header) + int(np.prod(shape))
        content = file.read_bytes()
        if ".gz" in file.suffixes:
            if self.packed[number] and not self.payload[number] and sha256(content) != self.packed[number]:
                raise wrong(
                    file, self.title, f"its SHA-256 is {sha256(content)[:12]}…, not {self.packed[number][:12]}…"
                )
            content = _unpack(file, self.title, content, size)
        if len(content) != size or not content.startswith(header):
            raise wrong(file, self.title, f"expected an IDX file of {size:,} bytes with sizes {shape}")
        if self.payload[number] and sha256(content) != self.payload[number]:
            raise wrong(
                file, self.title, f"SHA-256 of its payload is {sha256(content)[:12]}…, not {self.payload[number][:12]}…"
            )
        return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _unpack(file: Path, title: str, content: bytes, size: int) -> bytes:
    """Decompress at most one byte more than ``size``, so that no small ``.gz`` can fill the memory."""
    unpacker = zlib.decompressobj(wbits=31)  # 31: gzip
    try:
        payload = unpacker.decompress(content, size + 1)
    except zlib.error as error:
        raise wrong(file, title, f"a damaged .gz: {error}") from None
    if len(payload) == size and not unpacker.eof:  # the checksum at its end
        unpacker.decompress(unpacker.unconsumed_tail)
    return payload


def remotes(bases: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[Remote, ...]:
    """Remote files of a set.

    Args:
        bases: https addresses, each ending in ``/``.
        sizes: of the four ``.gz`` files in bytes.

    Returns:
        The four files, to be fetched from the first address that has them.
    """
    names = [f"{stem}.gz" for stem in _STEMS]
    return tuple(Remote(n, tuple(base + n for base in bases), size) for n, size in zip(names, sizes, strict=True))
