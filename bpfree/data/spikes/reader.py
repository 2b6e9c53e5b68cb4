"""Reader of spikes: what all spiking data share, and their picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings
from bpfree.data.spikes.settings import SpikeSettings


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
