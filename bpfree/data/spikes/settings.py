"""Settings of spiking data."""

from typing import Literal

from bpfree.config.settings import setting, settings
from bpfree.data.settings import DataSettings


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


@settings
class UnitSettings(SpikeSettings):
    """Bins, channels and split of spikes of numbered units."""

    units: int = setting(700, "number of units in the file, a multiple of channels", ge=1)


@settings
class SpikeFileSettings(UnitSettings):
    """Bins, channels and split of a file of spikes."""

    time_unit: Literal["s", "ms", "us", "bins"] | None = setting(
        None, "unit of the times in the file, bins being those of bin_ms (none: seconds, which must not be integers)"
    )
