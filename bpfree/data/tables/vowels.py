"""Data ``vowels`` and ``peterson-barney``: formants of spoken vowels by many speakers, embedded in the package.

The test part is drawn anew for every split seed: 20 % of the tokens of each vowel (``split=random``; the same speakers
are in both parts), or 20 % of the speakers with all their tokens (``split=speakers``, the stricter test). Everything is
standardised on the training part alone.
"""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.data import verification
from bpfree.data.reader import Raw, Reader
from bpfree.data.rows import ArrayRows
from bpfree.data.settings import DataSettings
from bpfree.data.splits import hold_out_groups, split
from bpfree.errors import InputError
from bpfree.training.random_streams import derive


@settings
class VowelSettings(DataSettings):
    normalize: Literal["unit", "standard", "positive"] = setting(
        "standard", "features in Hz, at mean 0 and deviation 1, or standardised and then shifted to be >= 0"
    )
    split: Literal["random", "speakers"] = setting(
        "random", "test on some tokens of all speakers, or on other speakers"
    )
    test_fraction: float = setting(0.2, "share of the tokens, or of the speakers, to test on", gt=0, lt=1)
    split_seed: int | None = setting(
        None, "seed of the test and validation split (none: the run's seed)", ge=0, lt=2**63
    )


class Vowels(Reader):
    """Reader of 258 tokens of 7 vowels by 48 women.

    Features: F1, F2, F3 at steady state and at 20 %, 50 % and 80 % of the duration.
    """

    Settings = VowelSettings
    as_trained = ("split", "split_seed", "test_fraction")
    file = Path(__file__).with_name("vowels_phyll.csv")
    sha256 = "35d0e45e6e83a46ddfdb71f36e5d2f4e8906b00612fac6565df62252ef9dfbb8"  # of the whole table
    source = "Hillenbrand et al. 1995 in the selection of PhyLL, MIT (embedded; see VOWELS_NOTICE.txt)"
    label, features = "vowel", 12

    def resolve_settings(self, settings: Mapping[str, Any] | DataSettings | None, seed: int) -> VowelSettings:
        resolved: Any = super().resolve_settings(settings, seed)
        return dataclasses.replace(resolved, split_seed=seed if resolved.split_seed is None else resolved.split_seed)

    def read(self, settings: DataSettings) -> Raw:
        """Read the table and draw its test part by ``split_seed``.

        Raises:
            InputError: the embedded file is not the published table, or ``split_seed`` is missing.
        """
        assert isinstance(settings, VowelSettings)
        if settings.split_seed is None:
            raise InputError(f"the test part of {self.name} depends on the split: give split_seed, that of the run")
        x, y, names, speakers = self.table()
        seed = derive(settings.split_seed, "test")
        if settings.split == "random":
            train, test = split(y, settings.test_fraction, seed)
        else:
            train, test = hold_out_groups(speakers, settings.test_fraction, seed)
        groups = speakers[train] if settings.split == "speakers" else None
        parts = (ArrayRows(x[train]), y[train], ArrayRows(x[test]), y[test])
        return Raw(self.name, self.source, self.sha256, *parts, class_names=names, groups=groups)

    def table(self) -> tuple[Tensor, Tensor, tuple[str, ...], Tensor]:
        """Read all tokens: features ``(N, F)`` in Hz, vowels ``(N,)``, their names, and speakers ``(N,)``."""
        with self.file.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = tuple(sorted({row[self.label] for row in rows}))
        people = sorted({self.speaker(row) for row in rows})
        x = torch.tensor(np.array([[float(v) for v in list(row.values())[-self.features :]] for row in rows])).float()
        y = torch.tensor([names.index(row[self.label]) for row in rows])
        speakers = torch.tensor([people.index(self.speaker(row)) for row in rows])
        if verification.sha256({"x": x, "y": y, "speaker": speakers}) != self.sha256:
            raise InputError(f"{self.file} is not the published table: install bpfree again")
        return x, y, names, speakers

    def speaker(self, row: Mapping[str, str]) -> str:
        """Speaker of a row of the table."""
        return row["speaker"]


class PetersonBarney(Vowels):
    """Reader of 1,520 tokens of 10 vowels by 76 men, women and children: F0, F1, F2, F3."""

    file = Path(__file__).with_name("vowels_peterson_barney_1952.csv")
    sha256 = "87338d3127fa7d4c2e60ff5949efdfb7e34583891b9e20472b80907cbe948096"
    source = "Peterson & Barney 1952, published measurements (embedded; see VOWELS_NOTICE.txt)"
    label, features = "Vowel", 4

    def speaker(self, row: Mapping[str, str]) -> str:
        return row["Speaker"]
