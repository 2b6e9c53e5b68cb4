"""Reader of spikes: trains of spikes counted in bins, the settings of all spiking data, and their picture."""

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
    """Bins, channels and split of spiking data."""

    val_fraction: float = setting(0.2, "share of the training rows held out for validation", gt=0, lt=1)
    val_on: Literal["samples", "speakers"] | None = setting(
        None, "validate on samples of all training speakers, or on whole speakers (none: like the test part)"
    )
    normalize: Literal["counts", "standard"] = setting(  # type: ignore[assignment]
        "counts", "numbers of spikes as they are, or at mean 0 and deviation 1 over the training part"
    )
    channels: int = setting(140, "N, number of input channels", ge=1, le=65536)
    bin_ms: float = setting(10.0, "width of the bins in which spikes are counted", unit="ms", gt=0)
    crop_s: float = setting(1.0, "length of all samples, which are cut or padded with zeros", unit="s", gt=0, le=60)


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


def count(trains: Trains, settings: SpikeSettings, name: str) -> tuple[Tensor, int]:
    """Count the spikes in every bin of every channel.

    Args:
        trains: spikes of N samples.
        settings: of the data.
        name: of the data, for the message.

    Returns:
        Counts ``(N, T, channels)`` uint8, and the number of samples that were longer than T bins.

    Raises:
        InputError: a bin with more spikes than a byte can count.
    """
    n, bins = len(trains.starts) - 1, frames(settings)
    counts, cut = np.empty((n, bins, settings.channels), np.uint8), 0
    for first in range(0, n, _SAMPLES):
        starts = trains.starts[first : first + _SAMPLES + 1]
        part = slice(starts[0], starts[-1])
        sample = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        # the small number keeps a spike in its bin where rounding puts it a billionth of a bin too early
        frame = np.floor(trains.times_s[part] * (1000 / settings.bin_ms) + 1e-9).astype(np.int64)
        inside = frame < bins
        cut += len(np.unique(sample[~inside]))
        cell = (sample[inside] * bins + frame[inside]) * settings.channels + trains.channels[part][inside]
        part_counts = np.bincount(cell, minlength=(len(starts) - 1) * bins * settings.channels)
        if part_counts.max(initial=0) > 255:
            raise InputError(f"{name}: a bin holds {part_counts.max()} spikes, at most 255 fit: use a smaller bin_ms")
        counts[first : first + _SAMPLES] = part_counts.reshape(-1, bins, settings.channels)
    return torch.from_numpy(counts), cut


class SpikeReader(Reader):
    """Base class of readers of spikes: an example is counts ``(T, N)``."""

    Settings = SpikeSettings
    net = "gru"
    as_trained: tuple[str, ...] = ("channels", "bin_ms", "crop_s", "data_dir")

    def summarise(self, raw: Raw, settings: DataSettings, seed: int) -> dict[str, Any]:
        parts = [rows for rows in (raw.x, raw.x_test) if rows is not None]
        x = torch.cat([rows.gather(torch.arange(len(rows))) for rows in parts])
        nonzero = x[x > 0]
        return {
            **super().summarise(raw, settings, seed),
            "spikes_a_sample": x.sum((1, 2), dtype=torch.float64).mean().item(),
            "nonzero_share": len(nonzero) / x.numel(),
            "mean_of_nonzero": nonzero.double().mean().item() if len(nonzero) else 0.0,
            "largest_count": int(x.max()),
        }

    def picture(self, file: Path, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> None:
        """Draw rasters of the first sample of six classes, spread over all.

        Args:
            file: PNG file to write.
            settings: of the data, or a mapping of some of them.
            seed: of the run.
        """
        resolved: Any = self.resolve_settings(settings, seed)
        raw = self.read(resolved)
        classes = torch.linspace(0, raw.classes - 1, min(6, raw.classes)).long().tolist()
        draw_rasters(file, [_first(raw, c) for c in classes], resolved)


def _first(raw: Raw, c: int) -> tuple[str, np.ndarray]:
    """Name of class ``c`` and its first sample ``(T, N)``."""
    row = int((raw.y == c).nonzero()[0])
    title = str(c) if raw.class_names is None else raw.class_names[c]
    return title, raw.x.gather(torch.tensor([row]))[0].numpy()


def draw_rasters(file: Path, samples: list[tuple[str, np.ndarray]], settings: SpikeSettings) -> None:
    """Draw samples as dots: time to the right, channels upwards, darker where a bin holds more spikes.

    Args:
        file: PNG file to write.
        samples: title and counts ``(T, N)`` of each.
        settings: of the data.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure((4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for axis, (title, x) in zip(axes, samples, strict=False):
        frame, channel = x.nonzero()
        axis.scatter(frame * settings.bin_ms / 1000, channel, s=3, c=x[frame, channel], cmap="viridis_r", linewidths=0)
        axis.set(title=f"{title}: {int(x.sum())} spikes", xlim=(0, settings.crop_s), ylim=(-1, x.shape[1]))
    for axis in list(axes)[len(samples) :]:
        axis.remove()
    figure.supxlabel("time (s)")
    figure.supylabel("channel")
    figure.savefig(file, format="png", dpi=120)
