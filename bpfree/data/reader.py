"""From what a file holds to a `Data`: the one path of checks, split and normalisation that all image data take."""

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
from bpfree.data.reconstruction import reconstruction
from bpfree.data.rows import NORMALISE, ArrayRows, Normalise, Rows, statistics
from bpfree.data.settings import DataSettings
from bpfree.data.sources import StreamSource
from bpfree.data.splits import hold_out_groups, split, subset
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec


@dataclass(frozen=True)
class Raw:
    """A classification data set as it was read: checked, but neither split nor normalised.

    Attributes:
        name, source, sha256, class_names: as in `Spec`.
        x, y: training examples and labels ``(N,)`` int64.
        x_test, y_test: the same for the test part, or None.
        groups: ``(N,)`` int64, the speaker of a row for example: no group is in training and validation both; or None.
        strata: ``(N,)`` int64, finer than the classes: validation takes an equal share of each; or None.
        held_out: rows of ``x`` that the data itself says are for validation; or None.
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

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


class Reader(ABC):
    """One name that ``--data`` understands.

    Attributes:
        Settings: the settings class.
        wants: what is written after the colon, for example ``FILE``; "" for nothing.
        net: the net that is built when none is named.
        images: whether examples are pictures, ``(channels, height, width)``.
        as_trained: settings that a model is judged with as it was trained: those that make an example what it is.
        name, where: what the user wrote, and its part after the colon.
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
        """Read and check the files; no split, no randomness."""

    def load(self, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> Data:
        """The data set, split and normalised."""
        chosen = self.chosen(settings, seed)
        return prepare(self.read(chosen), chosen, seed)

    def chosen(self, settings: Mapping[str, Any] | DataSettings | None, seed: int) -> DataSettings:
        """``settings`` as an instance of ``Settings``, with what follows from the run's seed where none is given."""
        return as_settings(settings, self.Settings)

    def picture(self, file: Path, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> None:
        """Draw some of the data into ``file``, as PNG.

        Raises:
            InputError: there is no picture of such data.
        """
        raise InputError(f"there is no picture of {self.name}: spikes have one, such as bpfree data fsdd --show")

    def describe(self, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> dict[str, Any]:
        """The data set in plain numbers and words; pixel statistics are those of the training part, bytes as 0..1."""
        chosen = self.chosen(settings, seed)
        return self.facts(self.read(chosen), chosen, seed)

    def facts(self, raw: Raw, chosen: DataSettings, seed: int) -> dict[str, Any]:
        """What `describe` says."""
        train, val = _split(raw, chosen, seed)
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
        }


def as_settings(
    settings: Mapping[str, Any] | DataSettings | None, cls: type[DataSettings] = DataSettings
) -> DataSettings:
    """``settings`` as an instance of ``cls``."""
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
    """Check arrays (channels first) and make them a `Raw`; ``names`` is what messages call them."""
    x = verification.examples(x, names[0])
    y = verification.labels(y, len(x), names[1])
    classes = verification.classes(y, names[1])
    arrays = {"x_train": x, "y_train": y}
    if x_test is not None:
        x_test = verification.examples(x_test, names[2])
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise InputError(
                f"{names[2]} has {x_test.dtype} examples of {tuple(x_test.shape[1:])} but {names[0]} has {x.dtype} "
                f"of {tuple(x.shape[1:])}: expected the same"
            )
        y_test = verification.labels(y_test, len(x_test), names[3], classes)
        arrays |= {"x_test": x_test, "y_test": y_test}
    test = None if x_test is None else ArrayRows(x_test)
    return Raw(name, source, verification.sha256(arrays), ArrayRows(x), y, test, y_test)


def prepare(raw: Raw, settings: DataSettings, seed: int) -> Data:
    """Split, and attach normalisation and augmentation. The test part is only ever normalised."""
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
    )
    return reconstruction(data) if settings.task == "reconstruction" else data


def _test(raw: Raw, normalise: Normalise) -> StreamSource | None:
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
