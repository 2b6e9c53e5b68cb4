"""Data ``spikes:FILE.h5``: spike trains in the HDF5 layout of the Heidelberg data sets.

Contents: ``spikes/times`` (ascending, in the unit ``time_unit``) and ``spikes/units``, one list each for every sample,
``labels``, and optionally ``extra/speaker``. Next to ``NAME_train.h5``, ``NAME_test.h5`` is the test part and
``NAME_valid.h5`` the validation part, where they exist; any other file has no test part. Neighbouring units are summed
to ``channels``, times count from the first spike of a sample.

Times whose unit is not stated are seconds, unless they cannot be: integers, times beyond a minute, and a window that
cuts most of the samples are refused.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.data import locations, verification
from bpfree.data.labels import Labels, read_labels
from bpfree.data.reader import Raw
from bpfree.data.rows import ArrayRows
from bpfree.data.settings import DataSettings
from bpfree.data.spikes.bins import Cut, Trains, count, cut_notes, frames, sum_notes, units_per_channel
from bpfree.data.spikes.clock import STATE, Clock
from bpfree.data.spikes.reader import SpikeReader
from bpfree.data.spikes.settings import SpikeFileSettings, UnitSettings
from bpfree.errors import InputError

_KEYS = ("spikes/times", "spikes/units", "labels")
_READ = 256  # samples that are in memory as spikes at a time


@dataclass(frozen=True)
class Part:
    """Contents of one file.

    Attributes:
        x: spike counts ``(N, T, channels)``.
        labels: as in the file ``(N,)``.
        speakers: ``(N,)``, or None.
        cut: what the window left out.
        silent: number of samples that begin with silence.
        empty: number of samples without a spike.
        longest_s: time from the first to the last spike of the longest sample.
    """

    x: Tensor
    labels: np.ndarray
    speakers: Tensor | None
    cut: Cut
    silent: int
    empty: int
    longest_s: float


class SpikeFile(SpikeReader):
    """Reader of the user's files of spike trains."""

    Settings = SpikeFileSettings
    wants = "FILE.h5"
    as_trained = (*SpikeReader.as_trained, "units", "time_unit")

    def read(self, settings: DataSettings) -> Raw:
        assert isinstance(settings, SpikeFileSettings)
        path = locations.named_path(settings, self.where)
        return read_parts(self.name, f"file {path}", files_of(path), settings, settings.time_unit)


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


def read_parts(name: str, source: str, files: dict[str, Path], settings: DataSettings, time_unit: str | None) -> Raw:
    """Read the parts of a data set.

    Args:
        name: of the data.
        source: origin of the data, in words.
        files: of the parts ``train``, ``valid`` and ``test``, as far as they exist.
        settings: of the data.
        time_unit: of the times, as in `SpikeFileSettings`.

    Returns:
        The data set.

    Raises:
        InputError: settings that do not fit the data, or a file that is not valid.
    """
    assert isinstance(settings, UnitSettings)
    units_per_channel(settings.units, settings.channels)
    parts = {part: read_part(file, settings, time_unit) for part, file in files.items()}
    train, valid, test = (parts.get(part) for part in ("train", "valid", "test"))
    assert train is not None
    cut = Cut(*map(sum, zip(*(part.cut for part in parts.values()), strict=True)))
    samples = sum(len(part.x) for part in parts.values())
    if time_unit is None and 2 * cut.samples > samples:
        raise InputError(
            f"{files['train']}: {cut.samples} of {samples} samples are longer than crop_s = {settings.crop_s:g} s, the "
            f"longest has {max(part.longest_s for part in parts.values()):g} s: {STATE}, or a longer crop_s"
        )
    labels = _labels(parts, files)
    x, y, speakers, held_out = train.x, labels["train"].y, train.speakers, None
    if valid is not None:
        held_out = torch.arange(len(x), len(x) + len(valid.x))
        x, y = torch.cat([x, valid.x]), torch.cat([y, labels["valid"].y])
    elif settings.val_on == "speakers" and speakers is None:
        raise InputError(f"{files['train']} has no extra/speaker: val_on = speakers needs it")
    arrays = {"x_train": x, "y_train": y} | ({} if test is None else {"x_test": test.x, "y_test": labels["test"].y})
    return Raw(
        name,
        source,
        verification.sha256(arrays),
        ArrayRows(x, counts=True),
        y,
        None if test is None else ArrayRows(test.x, counts=True),
        None if test is None else labels["test"].y,
        labels["train"].class_names,
        groups=speakers if settings.val_on == "speakers" else None,
        held_out=held_out,
        notes=(
            *labels["train"].notes,
            *_notes(parts.values(), samples, time_unit),
            *sum_notes(settings.units, settings.channels),
            *cut_notes(cut, samples, settings),
        ),
    )


def _labels(parts: Mapping[str, Part], files: Mapping[str, Path]) -> dict[str, Labels]:
    """Labels of every part, as classes of the training part."""
    names = {part: f"labels of {file}" for part, file in files.items()}
    train = read_labels(parts["train"].labels, names["train"])
    others = [part for part in parts if part != "train"]
    return {"train": train} | {p: read_labels(parts[p].labels, names[p], train.classes) for p in others}


def _notes(parts: Iterable[Part], samples: int, time_unit: str | None) -> tuple[str, ...]:
    """Notes on times and on samples without spikes."""
    notes = [f"times are read as {time_unit}"] if time_unit not in (None, "s") else []
    if silent := sum(part.silent for part in parts):
        notes.append(f"{silent} of {samples} samples begin with silence, which is left out: time 0 is the first spike")
    if empty := sum(part.empty for part in parts):
        notes.append(f"{empty} of {samples} samples have no spikes")
    return tuple(notes)


def read_part(path: Path, settings: UnitSettings, time_unit: str | None) -> Part:
    """Read and check one file, and count its spikes.

    Args:
        path: of the file.
        settings: of the data.
        time_unit: of the times, as in `SpikeFileSettings`.

    Returns:
        Its contents.

    Raises:
        InputError: not an HDF5 file, groups that are missing or do not fit, spikes out of order or out of range, or
            times that cannot be seconds.
    """
    h5py = _h5py()
    try:
        with h5py.File(path) as file:
            times, units, labels = (_dataset(file, key, path, h5py) for key in _KEYS)
            if not len(times) == len(units) == len(labels):
                counts = f"{len(times)} lists of times, {len(units)} of units and {len(labels)} labels"
                raise InputError(f"{path} has {counts}: expected as many of each")
            held = labels.asstr()[:] if h5py.check_string_dtype(labels.dtype) else labels[:]
            speakers = None
            if "extra/speaker" in file:
                dataset = _dataset(file, "extra/speaker", path, h5py)
                speakers = verification.labels(dataset[:], len(times), f"extra/speaker of {path}")
            x = torch.empty(len(times), frames(settings), settings.channels, dtype=torch.uint8)
            samples, spikes = 0, 0
            clock = Clock(path, settings, time_unit)
            for first in range(0, len(times), _READ):
                rows = slice(first, first + _READ)
                trains = Trains(*_joined(zip(times[rows], units[rows], strict=True), first, clock))
                x[rows], cut = count(trains, settings, str(path))
                samples, spikes = samples + cut.samples, spikes + cut.spikes
    except OSError as error:
        raise InputError(f"{path} is damaged, cut short or not an HDF5 file ({error})") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} holds something other than numbers ({error}): expected {', '.join(_KEYS)}") from None
    clock.check_whole()
    return Part(x, held, speakers, Cut(samples, spikes), clock.silent, clock.empty, clock.longest_s)


def _dataset(file: Any, key: str, path: Path, h5py: ModuleType) -> Any:
    """Array ``key`` of an HDF5 file, which must not be empty."""
    if not isinstance(file.get(key), h5py.Dataset):
        keys: list[str] = []
        file.visit(keys.append)
        raise InputError(f"{path} lacks {key}: expected {', '.join(_KEYS)}; it holds {', '.join(keys) or 'nothing'}")
    if not len(file[key].shape) or not len(file[key]):
        raise InputError(f"{path}: {key} is empty: expected an entry for every sample")
    return file[key]


def _joined(samples: Iterator, first: int, clock: Clock) -> tuple[np.ndarray, ...]:
    """Check samples and join them: starts, times since the first spike, and channels."""
    lengths, times, channels = [0], [np.empty(0)], [np.empty(0, np.int64)]
    settings = clock.settings
    for i, (when, which) in enumerate(samples, first):
        which, sample = np.atleast_1d(which), f"{clock.path}: sample {i}"
        when = clock.seconds(np.atleast_1d(when), sample)
        if len(when) != len(which):
            raise InputError(f"{sample} has {len(when)} times but {len(which)} units: expected as many of each")
        lengths.append(len(when))
        if not len(when):
            continue
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
