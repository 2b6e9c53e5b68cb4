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
from bpfree.data.labels import check_rows, read_labels
from bpfree.data.reconstruction import reconstruction
from bpfree.data.rows import NORMALISE, ArrayRows, Normalise, Rows, statistics
from bpfree.data.settings import DataSettings
from bpfree.data.sources import StreamSource
from bpfree.data.splits import hold_out_groups, split, subset
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec


@dataclass(frozen=True)
class Raw:
    """Classification data set as it was read: checked, but neither split nor normalised.

    Attributes:
        name: as in `Spec`.
        source: as in `Spec`.
        sha256: as in `Spec`.
        x: training examples.
        y: their labels ``(N,)`` int64.
        x_test: test examples, or None.
        y_test: their labels, or None.
        class_names: as in `Spec`.
        groups: ``(N,)`` int64, for example the speaker of a row: each group is either in training or in validation; or
            None.
        strata: ``(N,)`` int64, finer than the classes: validation takes an equal share of each; or None.
        held_out: rows of ``x`` that the data set itself reserves for validation; or None.
        notes: as in `Data`.
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

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1


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
        mean, std = statistics(raw.x.take(train))
        parts = {"train": raw.y[train], "val": raw.y[val], "test": raw.y_test}
        return {
            "name": raw.name,
            "shape": list(raw.x.shape),
            "dtype": str(raw.x.dtype).removeprefix("torch."),
            "classes": raw.classes,
            "class_names": None if raw.class_names is None else list(raw.class_names),
            "rows": {part: 0 if y is None else len(y) for part, y in parts.items()},
            "per_class": {
                part: None if y is None else torch.bincount(y, minlength=raw.classes).tolist()
                for part, y in parts.items()
            },
            "mean": mean.tolist(),
            "std": std.tolist(),
            "sha256": raw.sha256,
            "source": raw.source,
            "notes": list(raw.notes),
        }


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
) -> Raw:
    """Check arrays and make them a `Raw`.

    Args:
        name: as in `Spec`.
        source: as in `Spec`.
        x: training examples ``(N, …)``, channels first.
        y: training labels, as `read_labels` takes them.
        x_test: test examples, or None.
        y_test: test labels, or None.
        names: of the four arrays, for messages.

    Returns:
        The data set.

    Raises:
        InputError: an array that is not valid, or a test part of another shape or type.
    """
    x = verification.examples(x, names[0])
    labels = read_labels(y, names[1])
    check_rows(labels.y, len(x), names[1])
    arrays = {"x_train": x, "y_train": labels.y}
    if x_test is not None:
        x_test = verification.examples(x_test, names[2])
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise InputError(
                f"{names[2]} has {x_test.dtype} examples of {tuple(x_test.shape[1:])} but {names[0]} has {x.dtype} "
                f"of {tuple(x.shape[1:])}: expected the same"
            )
        y_test = read_labels(y_test, names[3], labels.classes).y
        check_rows(y_test, len(x_test), names[3])
        arrays |= {"x_test": x_test, "y_test": y_test}
    test = None if x_test is None else ArrayRows(x_test)
    return Raw(
        name,
        source,
        verification.sha256(arrays),
        ArrayRows(x),
        labels.y,
        test,
        y_test,
        labels.class_names,
        notes=labels.notes,
    )


def prepare(raw: Raw, settings: DataSettings, seed: int) -> Data:
    """Split, and attach normalisation and augmentation; the test part is only normalised.

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
    rows = raw.x.take(train)
    normalise = NORMALISE[settings.normalize](rows)
    augment = Augment(settings.shift, settings.crop, settings.flip, normalise.black)
    augment.check(raw.x.shape)
    data = Data(
        Spec(
            raw.name,
            raw.x.shape,
            raw.classes,
            raw.class_names,
            task="classification",
            metric="accuracy",
            maximize=True,
            sha256=raw.sha256,
            source=raw.source,
        ),
        train=StreamSource(rows, raw.y[train], normalise, augment),
        val=StreamSource(raw.x.take(val), raw.y[val], normalise),
        test=_test(raw, normalise),
        notes=raw.notes,
    )
    return reconstruction(data) if settings.task == "reconstruction" else data


def _test(raw: Raw, normalise: Normalise) -> StreamSource | None:
    """Source of the test part, if there is one."""
    return None if raw.x_test is None else StreamSource(raw.x_test, raw.y_test, normalise)


def _split(raw: Raw, settings: DataSettings, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of the training and of the validation part."""
    seed = seed if settings.split_seed is None else settings.split_seed
    if raw.held_out is not None:
        val = raw.held_out
        train = torch.arange(len(raw.y))[~torch.isin(torch.arange(len(raw.y)), val)]
    elif raw.groups is None:
        train, val = split(raw.y if raw.strata is None else raw.strata, settings.val_fraction, seed)
    else:
        train, val = hold_out_groups(raw.groups, settings.val_fraction, seed)
    if settings.subset is not None:
        train = train[subset(raw.y[train], settings.subset, seed)]
    return train, val
