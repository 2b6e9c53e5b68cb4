"""Reader of a data set by name, and the path from raw arrays to a `Data`: checks, split, normalisation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bpfree.config.settings import build
from bpfree.data import verification
from bpfree.data.augment import Augment
from bpfree.data.labels import check_rows
from bpfree.data.reconstruction import reconstruction
from bpfree.data.rows import NORMALISE, ArrayRows, Filled, Normalise, Rows, means, statistics
from bpfree.data.settings import DataSettings
from bpfree.data.sources import StreamSource
from bpfree.data.splits import hold_out_groups, split, subset
from bpfree.data.targets import read_more_targets, read_targets, scale
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec


@dataclass(frozen=True)
class Raw:
    """Data set as it was read: checked, but neither split nor normalised.

    Attributes:
        name: as in `Spec`.
        source: as in `Spec`.
        sha256: as in `Spec`.
        x: training examples.
        y: their labels ``(N,)`` int64, or numbers to predict ``(N, T)`` float64.
        x_test: test examples, or None.
        y_test: their labels or numbers, or None.
        class_names: as in `Spec`.
        groups: ``(N,)`` int64, for example the speaker of a row: each group is either in training or in validation; or
            None.
        strata: ``(N,)`` int64, finer than the classes: validation takes an equal share of each; or None.
        held_out: rows of ``x`` that the data set itself reserves for validation; or None.
        notes: as in `Data`.
        missing: NaN stands for a missing value of a table.
        table: what is needed to read further rows of the same table (`bpfree.data.tables.layout`); or None.
    """

    name: str
    source: str
    sha256: str
    x: Rows
    y: Tensor
    x_test: Rows | None = None
    y_test: Tensor | None = None
    class_names: tuple[str, ...] | None = None
    groups: Tensor | None = None
    strata: Tensor | None = None
    held_out: Tensor | None = None
    notes: tuple[str, ...] = ()
    missing: bool = False
    table: Mapping[str, Any] | None = None

    @property
    def classes(self) -> int:
        """Number of classes; 0: there are numbers to predict."""
        return 0 if self.numbers else int(self.y.max()) + 1

    @property
    def numbers(self) -> int:
        """Numbers to predict for one example; 0: there are classes."""
        return self.y.shape[1] if self.y.is_floating_point() else 0


class Reader(ABC):
    """Reader of the data behind one name of ``--data``.

    Args:
        name: as the user wrote it.
        where: part of the name after the colon.

    Attributes:
        Settings: the settings class.
        wants: form of the part after the colon, for example ``FILE``; "" for none.
        net: the net that is built when none is named.
        images: whether examples are pictures, ``(channels, height, width)``.
        as_trained: settings that define an example, so that a model is evaluated with the values of its training.
        name, where: the name as the user wrote it, and its part after the colon.
    """

    Settings: type[Any] = DataSettings
    wants = ""
    net = "mlp"
    images = False
    as_trained: tuple[str, ...] = ()

    def __init__(self, name: str, where: str = "") -> None:
        self.name, self.where = name, where

    @abstractmethod
    def read(self, settings: DataSettings) -> Raw:
        """Read and check the files, without split or randomness."""

    def load(self, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> Data:
        """Read, split and normalise the data set.

        Args:
            settings: of the data, or a mapping of some of them.
            seed: of the run.

        Returns:
            The data, ready to train on.

        Raises:
            InputError: settings or data that are not valid.
        """
        settings = self.resolve_settings(settings, seed)
        return prepare(self.read(settings), settings, seed)

    def resolve_settings(self, settings: Mapping[str, Any] | DataSettings | None, seed: int) -> DataSettings:
        """Complete settings, by the seed of the run where a default depends on it.

        Args:
            settings: of the data, or a mapping of some of them.
            seed: of the run.

        Returns:
            An instance of ``Settings``.

        Raises:
            InputError: an unknown setting or a value that is not valid.
        """
        return as_settings(settings, self.Settings)

    def picture(self, file: Path, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> None:
        """Draw some of the data.

        Args:
            file: PNG file to write.
            settings: of the data, or a mapping of some of them.
            seed: of the run.

        Raises:
            InputError: there is no picture of such data.
        """
        raise InputError(f"there is no picture of {self.name}: spikes have one, such as bpfree data fsdd --show")

    def describe(self, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> dict[str, Any]:
        """Describe the data set in plain numbers and words.

        Args:
            settings: of the data, or a mapping of some of them.
            seed: of the run.

        Returns:
            JSON values by name; pixel statistics are those of the training part, with bytes as 0..1.
        """
        settings = self.resolve_settings(settings, seed)
        return self.summarise(self.read(settings), settings, seed)

    def summarise(self, raw: Raw, settings: DataSettings, seed: int) -> dict[str, Any]:
        """Summarise raw data for `describe`.

        Args:
            raw: the data set as read.
            settings: of the data.
            seed: of the run.

        Returns:
            JSON values by name.
        """
        train, val = _split(raw, settings, seed)
        rows = raw.x.take(train)
        rows = Filled(rows, means(rows)) if raw.missing else rows
        mean, std = statistics(rows)
        parts = {"train": raw.y[train], "val": raw.y[val], "test": raw.y_test}
        return {
            "name": raw.name,
            "task": "regression" if raw.numbers else "classification",
            "shape": list(raw.x.shape),
            "dtype": str(raw.x.dtype).removeprefix("torch."),
            "classes": raw.classes,
            "class_names": None if raw.class_names is None else list(raw.class_names),
            "rows": {part: 0 if y is None else len(y) for part, y in parts.items()},
            **_about_targets(raw, parts),
            "mean": mean.tolist(),
            "std": std.tolist(),
            "sha256": raw.sha256,
            "source": raw.source,
            "notes": [*raw.notes, *_notes(raw, settings, NORMALISE[settings.normalize](rows))],
        }


def _about_targets(raw: Raw, parts: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Rows of each class, and the share of the largest; or the mean and deviation of numbers to predict."""
    if raw.numbers:
        mean, std = scale(raw.y)
        return {"target_mean": mean.tolist(), "target_std": std.tolist()}
    counts = {
        part: None if y is None else torch.bincount(y, minlength=raw.classes).tolist() for part, y in parts.items()
    }
    train = counts["train"]
    assert train is not None  # every data set has a training part
    return {"per_class": counts, "majority_share": max(train) / sum(train)}


def as_settings(
    settings: Mapping[str, Any] | DataSettings | None, cls: type[DataSettings] = DataSettings
) -> DataSettings:
    """Build an instance of ``cls`` from a mapping; settings are returned as they are."""
    return settings if isinstance(settings, DataSettings) else build(cls, settings or {})


def from_arrays(
    name: str,
    source: str,
    x: Any,
    y: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    names: Sequence[str] = ("x_train", "y_train", "x_test", "y_test"),
    task: str = "auto",
    missing: bool = False,
) -> Raw:
    """Check arrays and make them a `Raw`.

    Args:
        name: as in `Spec`.
        source: as in `Spec`.
        x: training examples ``(N, …)``, channels first, or a table ``(N, F)`` of numbers of any type.
        y: their labels or numbers, as `read_targets` takes them.
        x_test: test examples, or None.
        y_test: their labels or numbers, or None.
        names: of the four arrays, for messages.
        task: as in `DataSettings`.
        missing: NaN in a table stands for a missing value.

    Returns:
        The data set.

    Raises:
        InputError: an array that is not valid, or a test part of another shape or type.
    """
    x = verification.examples(x, names[0], missing)
    targets = read_targets(y, names[1], task)
    check_rows(targets.y, len(x), names[1])
    if x_test is not None:
        x_test = verification.examples(x_test, names[2], missing)
        if x.dim() == x_test.dim() == 2 and x.is_floating_point() and x_test.is_floating_point():
            wider = torch.promote_types(x.dtype, x_test.dtype)
            x, x_test = x.to(wider), x_test.to(wider)
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise InputError(
                f"{names[2]} has {x_test.dtype} examples of {tuple(x_test.shape[1:])} but {names[0]} has {x.dtype} "
                f"of {tuple(x.shape[1:])}: expected the same"
            )
        y_test = read_more_targets(y_test, names[3], targets)
        check_rows(y_test, len(x_test), names[3])
    arrays = {"x_train": x, "y_train": targets.y, "x_test": x_test, "y_test": y_test}
    missing = missing and any(part is not None and bool(part.isnan().any()) for part in (x, x_test))
    features, note = _bytes_of_a_table(x, names[0])
    return Raw(
        name,
        source,
        verification.sha256({key: array for key, array in arrays.items() if array is not None}),
        ArrayRows(x, features),
        targets.y,
        None if x_test is None else ArrayRows(x_test, features),
        y_test,
        targets.class_names,
        notes=(*targets.notes, *note),
        missing=missing,
    )


def _bytes_of_a_table(x: Tensor, name: str) -> tuple[bool, tuple[str, ...]]:
    """Tell features from pixels where a table holds bytes: pixels reach the upper half of 0..255."""
    if x.dim() != 2 or x.dtype != torch.uint8:
        return False, ()
    largest = int(x.max())
    if largest < 128:
        return True, (f"{name} holds bytes up to {largest}, read as features: as pixels they would reach 255",)
    return False, (f"{name} holds bytes up to {largest}, read as pixels: give integers or floats for features",)


def prepare(raw: Raw, settings: DataSettings, seed: int) -> Data:
    """Split, and attach normalisation and augmentation; the test part is only normalised.

    Missing values of a table are replaced by the mean of the training part, numbers to predict put on its scale.

    Args:
        raw: the data set as read.
        settings: of the data.
        seed: of the run; seeds the split unless ``split_seed`` is set.

    Returns:
        The data, ready to train on.

    Raises:
        InputError: a split or augmentation that is not possible.
    """
    train, val = _split(raw, settings, seed)
    x, x_test, table = raw.x, raw.x_test, raw.table
    if raw.missing:
        fill = means(x.take(train))
        x, x_test = Filled(x, fill), None if x_test is None else Filled(x_test, fill)
        table = {**(table or {}), "fill": fill.tolist()}
    rows = x.take(train)
    normalise = NORMALISE[settings.normalize](rows)
    augment = Augment(settings.shift, settings.crop, settings.flip, normalise.black)
    augment.check(raw.x.shape)
    y, y_test, target = raw.y, raw.y_test, None
    if raw.numbers:
        target = scale(raw.y[train])
        y, y_test = _scaled(y, target), None if y_test is None else _scaled(y_test, target)
    data = Data(
        Spec(
            raw.name,
            raw.x.shape,
            raw.classes,
            raw.class_names,
            task="regression" if raw.numbers else "classification",
            metric="r2" if raw.numbers else "accuracy",
            maximize=True,
            sha256=raw.sha256,
            source=raw.source,
            targets=raw.numbers,
            normalize=normalise.name,
        ),
        train=StreamSource(rows, y[train], normalise, augment),
        val=StreamSource(x.take(val), y[val], normalise),
        test=None if x_test is None else StreamSource(x_test, y_test, normalise),
        notes=(*raw.notes, *_notes(raw, settings, normalise)),
        target=target,
        table=table,
    )
    return reconstruction(data) if settings.task == "reconstruction" else data


def _scaled(y: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
    """Numbers to predict on the scale on which they are learnt, in torch's default floating type."""
    offset, deviation = target
    return ((y - offset) / deviation).to(torch.get_default_dtype())


def _notes(raw: Raw, settings: DataSettings, normalise: Normalise) -> tuple[str, ...]:
    """Lines about the normalisation that nobody asked for."""
    if settings.normalize != "auto" or normalise.name != "standard":
        return ()
    how = "at mean 0, deviation 1 of the training part (--normalize none: as they are)"
    return (f"features: {raw.x.numel} column(s) {how}",)


def _split(raw: Raw, settings: DataSettings, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of the training and of the validation part: an equal share of each class, or any of the rows."""
    seed = seed if settings.split_seed is None else settings.split_seed
    y, names = (raw.y, raw.class_names) if raw.strata is None else (raw.strata, None)
    if raw.numbers:
        y = torch.zeros(len(raw.y), dtype=torch.int64)  # rows of one kind
    if raw.held_out is not None:
        val = raw.held_out
        train = torch.arange(len(y))[~torch.isin(torch.arange(len(y)), val)]
    elif raw.groups is None:
        train, val = split(y, settings.val_fraction, seed, names)
    else:
        train, val = hold_out_groups(raw.groups, settings.val_fraction, seed)
    if settings.subset is not None:
        train = train[subset(y[train], settings.subset, seed)]
    return train, val
