"""Settings of image and array data."""

from typing import Literal

from bpfree.config.settings import setting, settings


@settings
class DataSettings:
    """How data is split, normalised, augmented and held."""

    task: Literal["classification", "reconstruction"] = setting(
        "classification", "learn each example's class, or to put out the example itself, as normalised"
    )
    val_fraction: float = setting(1 / 6, "share of the training rows held out for validation", gt=0, lt=1)
    split_seed: int | None = setting(None, "seed of the validation split (none: the run's seed)", ge=0, lt=2**63)
    subset: int | None = setting(None, "train on this many rows only, stratified (none: all)", unit="rows", ge=1)
    normalize: Literal["unit", "standard", "positive"] = setting(
        "unit",
        "unit: pixels in 0..1; standard: mean 0, deviation 1 per channel of the training part; positive: then >= 0",
    )
    shift: int = setting(0, "random translation up to this far, black (or silence) moves in", unit="pixels", ge=0)
    crop: int = setting(0, "random crop after this much reflected padding", unit="pixels", ge=0)
    flip: bool = setting(False, "mirror left and right at random")
    data_dir: str = setting(".", "where relative FILE and DIR are looked up")
