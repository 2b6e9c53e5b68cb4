"""``cifar10``: 60,000 colour pictures of ten kinds of things, 32x32."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bpfree.data import folder, places
from bpfree.data.cifar import Cifar
from bpfree.data.fetch import Remote
from bpfree.data.npz import read_npz
from bpfree.data.reader import Raw, from_arrays
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError
from energy.files import write_atomically


class Cifar10(Cifar):
    """CIFAR-10 (Krizhevsky 2009): 50,000 pictures to train and validate, 10,000 to test.

    Where the published files are nowhere on this machine, an image folder that the user has counts too: ``train`` and
    ``test`` with a folder for each class, in ``cifar10_images`` or ``cifar10``. Such copies are usually JPEG, so not
    the published pixels, and the source says so. They are decoded once and kept in the cache.
    """

    title, credit = "CIFAR-10", "A. Krizhevsky 2009, no licence stated by its authors"
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    labels = ("labels",)
    binary = ("cifar-10-batches-bin", *(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
    python = ("cifar-10-batches-py", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    layouts = (
        binary[0],
        python[0],
        "cifar-10-batches-py-target/cifar-10-batches-py",  # keras 3
        "cifar-10-binary.tar.gz",
        "cifar-10-python.tar.gz",
    )
    files = (
        Remote("cifar-10-binary.tar.gz", ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",), 170_052_171),
    )
    payload = (
        "a0181da372c0d63a5920fdbea2ec3f83ecbc552d378218e1cb473cf634941a3b",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    )
    pictures = ("cifar10_images", "cifar10")

    def instead(self, settings: DataSettings) -> Raw | None:
        for root in (own / name for own in places.own(settings) for name in self.pictures):
            if (root / "train").is_dir() and (root / "test").is_dir():
                return self._from_pictures(root)
        return None

    def _from_pictures(self, root: Path) -> Raw:
        found = sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir())
        if found != list(self.names):
            raise InputError(f"{root}/train holds the classes {', '.join(found)}: expected {', '.join(self.names)}")
        parts = {part: folder.listing(root / part, list(self.names)) for part in ("train", "test")}
        files = [file for part, _ in parts.values() for file in part]
        kept = places.cache() / "decoded" / f"cifar10-{_digest(root, files)}.npz"
        try:
            arrays = read_npz(kept)
        except InputError:  # not there yet, or damaged
            arrays = _decode(parts, kept)
        kinds = {file.suffix.lower() for file in files}
        note = "a JPEG re-encoding, not the published pixels" if kinds & {".jpg", ".jpeg"} else "PNG pictures"
        source = self.source(root, f"{note}, in the order of their file names")
        x, y, x_test, y_test = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))
        return replace(from_arrays(self.name, source, x, y, x_test, y_test), class_names=self.names)


def _digest(root: Path, files: list[Path]) -> str:
    """What the listing of a folder says of its content: path, size and time of change of every file."""
    digest = hashlib.sha256()
    for file in files:
        state = file.stat()
        digest.update(f"{file.relative_to(root)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _decode(parts: dict[str, tuple[list[Path], list[int]]], file: Path) -> dict[str, np.ndarray]:
    """Pixels ``(N, 3, 32, 32)`` and labels of both parts; kept in ``file``, which appears whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    for part, (files, labels) in parts.items():
        rows = folder.FileRows(files, (32, 32), "RGB")
        arrays |= {f"x_{part}": rows.gather(torch.arange(len(rows))).numpy(), f"y_{part}": np.array(labels, np.int64)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lambda new: np.savez(new, **arrays))  # type: ignore[arg-type]
    except OSError as error:
        raise InputError(f"cannot keep the decoded pictures in {file.parent}: {error.strerror}") from None
    return arrays
