"""Spikes as data: trains of spikes counted in bins, the settings that all spiking data share, and their picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError

_SAMPLES = 64  # counted at a time


@settings
class SpikeSettings(DataSettings):
    """How spikes are counted and split."""

    val_fraction: float = setting(0.2, "share of the training rows held out for validation", gt=0, lt=1)
    val_on: Literal["samples", "speakers"] | None = setting(
        None, "validate on samples of all training speakers, or on whole speakers (none: as the test part is)"
    )
    normalize: Literal["counts", "standard"] = setting(  # type: ignore[assignment]
        "counts", "numbers of spikes as they are, or to mean 0 and deviation 1 over the training part"
    )
    channels: int = setting(140, "N, input channels", ge=1, le=65536)
    bin_ms: float = setting(10.0, "width of the bins that spikes are counted in", unit="ms", gt=0)
    crop_s: float = setting(1.0, "length of all samples: cut, or filled up with zeros", unit="s", gt=0, le=60)


@dataclass(frozen=True)
class Trains:
    """Spikes of N samples, one sample after the other.

    Attributes:
        starts: ``(N + 1,)`` int64: sample i has the spikes ``starts[i]:starts[i + 1]``.
        times_s: ``(S,)`` float64, since the sample's beginning.
        channels: ``(S,)`` integers, below the number of channels.
    """

    starts: np.ndarray
    times_s: np.ndarray
    channels: np.ndarray


def frames(chosen: SpikeSettings) -> int:
    """T, bins of a sample: the last one may reach past the crop."""
    return ceil(round(1000 * chosen.crop_s / chosen.bin_ms, 6))


def neighbours(units: int, channels: int) -> int:
    """How many neighbouring units a channel sums.

    Raises:
        InputError: channels do not divide units.
    """
    if units % channels:
        fits = ", ".join(str(n) for n in range(1, units + 1) if units % n == 0)
        raise InputError(f"channels = {channels} must divide units = {units}: expected one of {fits}")
    return units // channels


def count(trains: Trains, chosen: SpikeSettings, name: str) -> tuple[Tensor, int]:
    """Spikes in every bin of every channel, ``(N, T, channels)`` uint8, and how many samples were longer than that.

    Raises:
        InputError: a bin with more spikes than a byte can count.
    """
    n, bins = len(trains.starts) - 1, frames(chosen)
    found, cut = np.empty((n, bins, chosen.channels), np.uint8), 0
    for first in range(0, n, _SAMPLES):
        starts = trains.starts[first : first + _SAMPLES + 1]
        part = slice(starts[0], starts[-1])
        sample = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        # a spike that rounding puts a billionth of a bin too early is still in its bin
        frame = np.floor(trains.times_s[part] * (1000 / chosen.bin_ms) + 1e-9).astype(np.int64)
        inside = frame < bins
        cut += len(np.unique(sample[~inside]))
        cell = (sample[inside] * bins + frame[inside]) * chosen.channels + trains.channels[part][inside]
        many = np.bincount(cell, minlength=(len(starts) - 1) * bins * chosen.channels)
        if many.max(initial=0) > 255:
            raise InputError(f"{name}: a bin holds {many.max()} spikes: expected at most 255, so a smaller bin_ms")
        found[first : first + _SAMPLES] = many.reshape(-1, bins, chosen.channels)
    return torch.from_numpy(found), cut


class SpikeReader(Reader):
    """Base class of readers of spikes: an example is ``(T, N)`` counts."""

    Settings = SpikeSettings
    net = "gru"
    as_trained: tuple[str, ...] = ("channels", "bin_ms", "crop_s", "data_dir")

    def facts(self, raw: Raw, chosen: DataSettings, seed: int) -> dict[str, Any]:
        parts = [rows for rows in (raw.x, raw.x_test) if rows is not None]
        x = torch.cat([rows.gather(torch.arange(len(rows))) for rows in parts])
        full = x[x > 0]
        return {
            **super().facts(raw, chosen, seed),
            "spikes_a_sample": x.sum((1, 2), dtype=torch.float64).mean().item(),
            "nonzero_share": len(full) / x.numel(),
            "mean_of_nonzero": full.double().mean().item() if len(full) else 0.0,
            "largest_count": int(x.max()),
        }

    def picture(self, file: Path, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> None:
        """A raster of the first sample of six classes, spread over all, in ``file``."""
        chosen: Any = self.chosen(settings, seed)
        raw = self.read(chosen)
        classes = torch.linspace(0, raw.classes - 1, min(6, raw.classes)).long().tolist()
        draw_rasters(file, [_first(raw, c) for c in classes], chosen)


def _first(raw: Raw, c: int) -> tuple[str, np.ndarray]:
    row = int((raw.y == c).nonzero()[0])
    title = str(c) if raw.class_names is None else raw.class_names[c]
    return title, raw.x.gather(torch.tensor([row]))[0].numpy()


def draw_rasters(file: Path, samples: list[tuple[str, np.ndarray]], chosen: SpikeSettings) -> None:
    """Each sample ``(T, N)`` as dots: time to the right, channels upwards, darker where a bin holds more spikes."""
    from matplotlib.figure import Figure

    columns = min(3, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure((4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for axis, (title, x) in zip(axes, samples, strict=False):
        frame, channel = x.nonzero()
        axis.scatter(frame * chosen.bin_ms / 1000, channel, s=3, c=x[frame, channel], cmap="viridis_r", linewidths=0)
        axis.set(title=f"{title}: {int(x.sum())} spikes", xlim=(0, chosen.crop_s), ylim=(-1, x.shape[1]))
    for axis in list(axes)[len(samples) :]:
        axis.remove()
    figure.supxlabel("time (s)")
    figure.supylabel("channel")
    figure.savefig(file, format="png", dpi=120)
