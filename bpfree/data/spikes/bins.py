"""Spikes counted in bins of time, and what the window leaves out."""

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bpfree.data.spikes.settings import SpikeSettings
from bpfree.errors import InputError

_SAMPLES = 64  # counted at a time


@dataclass(frozen=True)
class Trains:
    """Spike trains of N samples, one sample after the other.

    Attributes:
        starts: ``(N + 1,)`` int64: sample i has the spikes ``starts[i]:starts[i + 1]``.
        times_s: ``(S,)`` float64, since the beginning of the sample.
        channels: ``(S,)`` integers, below the number of channels.
    """

    starts: np.ndarray
    times_s: np.ndarray
    channels: np.ndarray


def frames(settings: SpikeSettings) -> int:
    """Number of bins T of a sample; the last one may reach past the crop."""
    return ceil(round(1000 * settings.crop_s / settings.bin_ms, 6))


def units_per_channel(units: int, channels: int) -> int:
    """Number of neighbouring units that are summed to a channel.

    Args:
        units: number of units of the data.
        channels: N, number of input channels.

    Returns:
        ``units / channels``.

    Raises:
        InputError: ``channels`` does not divide ``units``.
    """
    if units % channels:
        fits = ", ".join(str(n) for n in range(1, units + 1) if units % n == 0)
        raise InputError(f"channels = {channels} must divide units = {units}: expected one of {fits}")
    return units // channels


class Cut(NamedTuple):
    """Spikes that the end of the window left out.

    Attributes:
        samples: number of samples that go on after it.
        spikes: number of spikes after it.
    """

    samples: int
    spikes: int


def cut_notes(cut: Cut, samples: int, settings: SpikeSettings) -> tuple[str, ...]:
    """Note on what was cut, if anything was.

    Args:
        cut: of all samples.
        samples: their number.
        settings: of the data.
    """
    if not cut.samples:
        return ()
    window = f"crop_s = {settings.crop_s:g} s"
    return (f"{cut.samples} of {samples} samples are longer than {window}: {cut.spikes} spikes after it are left out",)


def sum_notes(units: int, channels: int) -> tuple[str, ...]:
    """Note on units that are summed to channels, if they are.

    Args:
        units: number of units of the data.
        channels: N, number of input channels.
    """
    if units == channels:
        return ()
    return (f"{units} units are summed to {channels} channels, {units_per_channel(units, channels)} neighbours each",)


def count(trains: Trains, settings: SpikeSettings, name: str) -> tuple[Tensor, Cut]:
    """Count the spikes in every bin of every channel.

    Args:
        trains: spikes of N samples.
        settings: of the data.
        name: of the data, for the message.

    Returns:
        Counts ``(N, T, channels)`` uint8, and what T bins left out.

    Raises:
        InputError: a bin with more spikes than a byte can count.
    """
    n, bins = len(trains.starts) - 1, frames(settings)
    counts, samples, spikes = np.empty((n, bins, settings.channels), np.uint8), 0, 0
    for first in range(0, n, _SAMPLES):
        starts = trains.starts[first : first + _SAMPLES + 1]
        part = slice(starts[0], starts[-1])
        sample = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        # the small number keeps a spike in its bin where rounding puts it a billionth of a bin too early
        frame = np.floor(trains.times_s[part] * (1000 / settings.bin_ms) + 1e-9)
        inside = frame < bins
        samples += len(np.unique(sample[~inside]))
        spikes += int((~inside).sum())
        cell = (sample[inside] * bins + frame[inside].astype(np.int64)) * settings.channels + trains.channels[part][
            inside
        ]
        part_counts = np.bincount(cell, minlength=(len(starts) - 1) * bins * settings.channels)
        if part_counts.max(initial=0) > 255:
            raise InputError(f"{name}: a bin holds {part_counts.max()} spikes, at most 255 fit: use a smaller bin_ms")
        counts[first : first + _SAMPLES] = part_counts.reshape(-1, bins, settings.channels)
    return torch.from_numpy(counts), Cut(samples, spikes)
