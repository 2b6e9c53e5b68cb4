"""Settings of images and arrays."""

from typing import Literal

from bpfree.config.settings import setting, settings


@settings
class DataSettings:
    """Split, normalisation and augmentation of a data set."""

    task: Literal["auto", "classification", "regression", "reconstruction"] = setting(
        "auto",
        "predict the class of an example, numbers, or the normalised example itself; auto: numbers where labels are no "
        "classes",
    )
    val_fraction: float = setting(1 / 6, "share of the training rows held out for validation", gt=0, lt=1)
    split_seed: int | None = setting(None, "seed of the validation split (none: the run's seed)", ge=0, lt=2**63)
    subset: int | None = setting(None, "number of training rows, a stratified choice (none: all)", unit="rows", ge=1)
    normalize: Literal["auto", "unit", "standard", "positive", "none"] = setting(
        "auto",
        "unit: pixels in 0..1; standard: mean 0, deviation 1 per channel of the training part; positive: then >= 0; "
        "auto: standard for a table of features, else unit",
    )
    shift: int = setting(0, "largest random translation; black (or silence) moves in", unit="pixels", ge=0)
    crop: int = setting(0, "reflected padding before a random crop", unit="pixels", ge=0)
    flip: bool = setting(False, "mirror left and right at random")
    data_dir: str = setting(".", "folder of relative FILE and DIR, and of published data")


@settings
class TableSettings(DataSettings):
    """Settings of tables with named columns."""

    target: str | None = setting(
        None, "column to predict (none: target, label, class or y where there is one of them, else the last)"
    )
    drop: tuple[str, ...] = setting((), "columns that are not learnt from")
    missing: Literal["refuse", "mean"] = setting(
        "refuse", "missing numbers are refused, or filled with the mean of the training part and marked in a column"
    )


@settings
class OwnSettings(TableSettings):
    """Settings of the user's own Datasets, DataLoaders and arrays."""

    input_field: str | None = setting(
        None, "field of an item with the example: its name, or its place from 0 (none: the first, or known by its name)"
    )
    label_field: str | None = setting(
        None, "field of an item with the label: its name, or its place from 0 (none: the second, or known by its name)"
    )
    freeze: bool = setting(False, "read each row of a Dataset once and keep it, its random transforms included")
