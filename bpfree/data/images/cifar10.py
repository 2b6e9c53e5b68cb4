"""Data ``cifar10``: 60,000 colour pictures of ten kinds of things, 32x32."""

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bpfree.data import locations
from bpfree.data.fetching import Remote
from bpfree.data.images.cifar import Cifar
from bpfree.data.images.files import Form
from bpfree.data.images.layout import classes_in, listing
from bpfree.data.images.sets import FileRows
from bpfree.data.npz import read_npz
from bpfree.data.reader import Raw, from_arrays
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError, RunFailed
from bpfree.training.files import write_atomically


class Cifar10(Cifar):
    """Reader of CIFAR-10 (Krizhevsky 2009): 50,000 pictures to train and validate, 10,000 to test.

    Without the published files an image folder of the user is accepted: ``train`` and ``test`` with a folder for each
    class, in ``cifar10_images`` or ``cifar10``. Such copies are usually JPEG, hence not the published pixels, and the
    source states it. They are decoded once and kept in the cache.
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
    substitutes = ("cifar10_images", "cifar10")
    pictures = {"train": 5_000, "test": 1_000}  # of each class

    def substitute(self, settings: DataSettings) -> Raw | None:
        for root in (place / name for place in locations.user_folders(settings) for name in self.substitutes):
            if (root / "train").is_dir():
                return self._from_pictures(root)
        return None

    def _from_pictures(self, root: Path) -> Raw:
        parts = {}
        for part, count in self.pictures.items():
            if not (root / part).is_dir():
                raise InputError(f"{root} has no {part} folder: expected train and test")
            if (names := classes_in(root / part)) != list(self.names):
                classes = ", ".join(names) or "none"
                raise InputError(f"{root / part} holds the classes {classes}: expected {', '.join(self.names)}")
            _, labels = parts[part] = listing(root / part, names)[:2]
            for number, name in enumerate(names):
                if (pictures := labels.count(number)) != count:
                    raise InputError(f"{root / part / name} holds {pictures:,} pictures: expected {count:,}")
        files = [file for part, _ in parts.values() for file in part]
        kept = locations.cache() / "decoded" / f"cifar10-{_digest(root, files)}.npz"
        try:
            arrays = read_npz(kept, extra=("formats",))
        except InputError:  # not there yet, or damaged
            arrays = _decode(parts, kept)
        png = set(arrays["formats"].tolist()) == {"PNG"}
        note = "PNG pictures" if png else "a JPEG re-encoding, not the published pixels"
        source = self.source(root, f"{note}, in the order of their file names")
        x, y, x_test, y_test = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))
        return replace(from_arrays(self.name, source, x, y, x_test, y_test), class_names=self.names)


def _digest(root: Path, files: list[Path]) -> str:
    """Hash of a folder's listing: its place; path, size and times of change of every file."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for file in files:
        state = file.stat()
        times = f"{state.st_mtime_ns} {state.st_ctime_ns}"  # the second cannot be set by a copy or an edit
        digest.update(os.fsencode(file.relative_to(root)) + f" {state.st_size} {times}\n".encode())
    return digest.hexdigest()[:32]


def _decode(parts: dict[str, tuple[list[Path], list[int]]], file: Path) -> dict[str, np.ndarray]:
    """Decode pixels ``(N, 3, 32, 32)``, labels and formats of both parts, and write them atomically to ``file``."""
    arrays: dict[str, np.ndarray] = {}
    formats: set[str] = set()
    for part, (files, labels) in parts.items():
        rows = FileRows(files, (32, 32), Form())
        arrays |= {f"x_{part}": rows.gather(torch.arange(len(rows))).numpy(), f"y_{part}": np.array(labels, np.int64)}
        formats |= rows.formats
    arrays["formats"] = np.array(sorted(formats))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lambda new: np.savez(new, **arrays))  # type: ignore[arg-type]
    except (OSError, RunFailed) as error:
        print(f"bpfree: the decoded pictures cannot be kept in {file.parent}: {error}", file=sys.stderr)
    return arrays
