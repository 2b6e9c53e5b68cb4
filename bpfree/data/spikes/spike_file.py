"""Data ``spikes:FILE.h5``: spike trains in the HDF5 layout of the Heidelberg data sets.

Contents: ``spikes/times`` (s, ascending) and ``spikes/units``, one list each for every sample, ``labels``, and
optionally ``extra/speaker``. Next to ``NAME_train.h5``, ``NAME_test.h5`` is the test part and ``NAME_valid.h5`` the
validation part, where they exist; any other file has no test part. Neighbouring units are summed to ``channels``, times
count from the first spike of a sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.data import locations, verification
from bpfree.data.reader import Raw
from bpfree.data.rows import ArrayRows
from bpfree.data.settings import DataSettings
from bpfree.data.spikes.reader import SpikeReader, SpikeSettings, Trains, count, frames, units_per_channel
from bpfree.errors import InputError

_KEYS = ("spikes/times", "spikes/units", "labels")
_READ = 256  # samples that are in memory as spikes at a time
_WINDOW_S = 60  # no sample is that long: a later time is not in seconds


@settings
class SpikeFileSettings(SpikeSettings):
    """Bins, channels and split of a file of spikes."""

    units: int = setting(700, "number of units in the file, a multiple of channels", ge=1)


@dataclass(frozen=True)
class Part:
    """Contents of one file.

    Attributes:
        x: spike counts ``(N, T, channels)``.
        y: labels ``(N,)``.
        speakers: ``(N,)``, or None.
        cut: number of samples that were cut.
    """

    x: Tensor
    y: Tensor
    speakers: Tensor | None
    cut: int


class SpikeFile(SpikeReader):
    """Reader of the user's files of spike trains."""

    Settings = SpikeFileSettings
    wants = "FILE.h5"
    as_trained = (*SpikeReader.as_trained, "units")

    def read(self, settings: DataSettings) -> Raw:
        path = locations.named_path(settings, self.where)
        return read_parts(self.name, f"file {path}", files_of(path), settings)


def files_of(path: Path) -> dict[str, Path]:
    """Files of the parts ``train``, ``valid`` and ``test``: ``path`` and those next to it.

    Raises:
        InputError: no such file.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    files = {"train": path}
    if path.stem.endswith("_train"):
        others = {part: path.with_stem(f"{path.stem.removesuffix('_train')}_{part}") for part in ("valid", "test")}
        files |= {part: file for part, file in others.items() if file.is_file()}
    return files


def read_parts(name: str, source: str, files: dict[str, Path], settings: DataSettings) -> Raw:
    """Read the parts of a data set.

    Args:
        name: of the data.
        source: origin of the data, in words.
        files: of the parts ``train``, ``valid`` and ``test``, as far as they exist.
        settings: of the data.

    Returns:
        The data set.

    Raises:
        InputError: settings that do not fit the data, or a file that is not valid.
    """
    assert isinstance(settings, SpikeFileSettings)
    units_per_channel(settings.units, settings.channels)
    parts = {part: read_part(file, settings) for part, file in files.items()}
    train, valid, test = (parts.get(part) for part in ("train", "valid", "test"))
    assert train is not None
    classes = verification.classes(train.y, f"labels of {files['train']}")
    for part, content in parts.items():
        verification.labels(content.y, len(content.y), f"labels of {files[part]}", classes)
    x, y, speakers, held_out = train.x, train.y, train.speakers, None
    if valid is not None:
        held_out = torch.arange(len(x), len(x) + len(valid.x))
        x, y = torch.cat([x, valid.x]), torch.cat([y, valid.y])
    elif settings.val_on == "speakers" and speakers is None:
        raise InputError(f"{files['train']} has no extra/speaker: val_on = speakers needs it")
    arrays = {"x_train": x, "y_train": y} | ({} if test is None else {"x_test": test.x, "y_test": test.y})
    cut = sum(part.cut for part in parts.values())
    return Raw(
        name,
        f"{source}; {cut} of {sum(len(part.y) for part in parts.values())} samples cut at {settings.crop_s:g} s",
        verification.sha256(arrays),
        ArrayRows(x, counts=True),
        y,
        None if test is None else ArrayRows(test.x, counts=True),
        None if test is None else test.y,
        groups=speakers if settings.val_on == "speakers" else None,
        held_out=held_out,
    )


def read_part(path: Path, settings: SpikeFileSettings) -> Part:
    """Read and check one file, and count its spikes.

    Args:
        path: of the file.
        settings: of the data.

    Returns:
        Its contents.

    Raises:
        InputError: not an HDF5 file, groups that are missing or do not fit, spikes out of order or out of range, or
            labels that are not classes.
    """
    h5py = _h5py()
    try:
        with h5py.File(path) as file:
            times, units, labels = (_dataset(file, key, path, h5py) for key in _KEYS)
            if not len(times) == len(units) == len(labels):
                counts = f"{len(times)} lists of times, {len(units)} of units and {len(labels)} labels"
                raise InputError(f"{path} has {counts}: expected as many of each")
            y = verification.labels(labels[:], len(times), f"labels of {path}")
            speakers = None
            if "extra/speaker" in file:
                dataset = _dataset(file, "extra/speaker", path, h5py)
                speakers = verification.labels(dataset[:], len(times), f"extra/speaker of {path}")
            x, cut = torch.empty(len(times), frames(settings), settings.channels, dtype=torch.uint8), 0
            for first in range(0, len(times), _READ):
                rows = slice(first, first + _READ)
                trains = Trains(*_joined(zip(times[rows], units[rows], strict=True), first, path, settings))
                x[rows], longer = count(trains, settings, str(path))
                cut += longer
    except OSError as error:
        raise InputError(f"{path} is damaged, cut short or not an HDF5 file ({error})") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} holds something other than numbers ({error}): expected {', '.join(_KEYS)}") from None
    return Part(x, y, speakers, cut)


def _dataset(file: Any, key: str, path: Path, h5py: ModuleType) -> Any:
    """Array ``key`` of an HDF5 file, which must not be empty."""
    if not isinstance(file.get(key), h5py.Dataset):
        keys: list[str] = []
        file.visit(keys.append)
        raise InputError(f"{path} lacks {key}: expected {', '.join(_KEYS)}; it holds {', '.join(keys) or 'nothing'}")
    if not len(file[key].shape) or not len(file[key]):
        raise InputError(f"{path}: {key} is empty: expected an entry for every sample")
    return file[key]


def _joined(samples: Iterator, first: int, path: Path, settings: SpikeFileSettings) -> tuple[np.ndarray, ...]:
    """Check samples and join them: starts, times since the first spike, and channels."""
    lengths, times, channels = [0], [np.empty(0)], [np.empty(0, np.int64)]
    for i, (when, which) in enumerate(samples, first):
        when, which = np.atleast_1d(when).astype(np.float64), np.atleast_1d(which)
        sample = f"{path}: sample {i}"
        if len(when) != len(which):
            raise InputError(f"{sample} has {len(when)} times but {len(which)} units: expected as many of each")
        lengths.append(len(when))
        if not len(when):
            continue
        if not (np.diff(when) >= 0).all() or not np.isfinite(when).all():
            raise InputError(f"{sample} has spikes out of order: expected finite times, ascending")
        if when[0] < 0 or when[-1] > _WINDOW_S:
            wrong = when[0] if when[0] < 0 else when[-1]
            raise InputError(f"{sample} has a spike at {wrong:g} s: expected times in seconds, 0..{_WINDOW_S}")
        if which.dtype.kind not in "iu":
            raise InputError(f"{sample} has units of type {which.dtype}: expected integers")
        if which.min() < 0 or which.max() >= settings.units:
            wrong = which.min() if which.min() < 0 else which.max()
            raise InputError(
                f"{sample} names unit {wrong}: expected 0..{settings.units - 1} (units = {settings.units})"
            )
        times.append(when - when[0])
        channels.append(which.astype(np.int64) // units_per_channel(settings.units, settings.channels))
    return np.cumsum(lengths), np.concatenate(times), np.concatenate(channels)


def _h5py() -> ModuleType:
    """Import h5py where it is used."""
    try:
        import h5py
    except ImportError:
        raise InputError("HDF5 files need h5py: pip install h5py") from None
    return h5py
