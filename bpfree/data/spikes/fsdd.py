"""``fsdd``: spoken digits by six speakers (Free Spoken Digit Dataset), heard by a model of the cochlea.

The test part is the official one, recordings 0 to 4 of every speaker and digit, or all recordings of one speaker
(``split=speaker``). Of the others, validation takes an equal share of every speaker and digit or, where the test part
is a speaker, whole speakers.

Neighbouring places of the membrane are summed to a channel, by default five as in the Heidelberg data sets: what a
single place fires in a bin is mostly the chance of its 40 fibres.
"""

import dataclasses
import lzma
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from bpfree.config.settings import setting, settings
from bpfree.data import verification
from bpfree.data.locations import roots
from bpfree.data.reader import Raw
from bpfree.data.rows import ArrayRows
from bpfree.data.settings import DataSettings
from bpfree.data.spikes import cochlea as hearing
from bpfree.data.spikes import sounds
from bpfree.data.spikes.reader import SpikeReader, SpikeSettings, Trains, count, neighbours
from bpfree.errors import InputError
from bpfree.functional import cochlea

ARCHIVE, FOLDER = "fsdd_recordings.tar.xz", "recordings"
PROJECT = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_NAME = re.compile(r"([0-9])_([^_/]+)_(\d+)\.wav")
_SPEAKERS = 6
_TEST = 5  # recordings with a lower index are the official test part


@settings
class FsddSettings(SpikeSettings):
    split: Literal["official", "speaker"] = setting(
        "official", "test on recordings 0 to 4 of all speakers, or on all recordings of one speaker"
    )
    fold: int | None = setting(
        None, "which speaker, by name, is the test part of split = speaker (none: the run's seed modulo 6)", ge=0
    )
    units: int = setting(
        700, "places along the membrane, each with a bushy cell; channels must divide it", ge=1, le=65535
    )
    middle_ear_hz: float = setting(
        cochlea.MIDDLE_EAR_HZ, "high-pass before the cochlea (0: none, as in SHD)", unit="Hz", ge=0, le=20000
    )
    conversion_seed: int = setting(0, "seed of the spikes: another one hears the same sounds anew", ge=0)


class Fsdd(SpikeReader):
    """3,000 recordings of the digits: six speakers, 50 of each digit."""

    Settings = FsddSettings
    as_trained = (*SpikeReader.as_trained, "split", "fold", "units", "middle_ear_hz", "conversion_seed")

    def chosen(self, settings: Mapping[str, Any] | DataSettings | None, seed: int) -> FsddSettings:
        chosen: Any = super().chosen(settings, seed)
        if chosen.split == "official" or chosen.fold is not None:
            return chosen
        return dataclasses.replace(chosen, fold=seed % _SPEAKERS)

    def read(self, settings: DataSettings) -> Raw:
        """The recordings as spikes, converted the first time that these recordings and settings are asked for.

        Raises:
            InputError: no recordings, a damaged one, one of another name or no mono WAV file, a fold that is none.
        """
        assert isinstance(settings, FsddSettings)
        neighbours(settings.units, settings.channels)
        place, files = _recordings(settings)
        named = [_parsed(name, place) for name in files]
        heard = [sounds.read_wav(content, f"{name} of {place}") for name, content in files.items()]
        speakers = sorted({speaker for _, speaker, _ in named})
        y = torch.tensor([digit for digit, _, _ in named])
        who = torch.tensor([speakers.index(speaker) for _, speaker, _ in named])
        verification.classes(y, f"the recordings of {place}")
        if settings.split == "official":
            tested = torch.tensor([index for _, _, index in named]) < _TEST
        else:
            fold = settings.fold
            if fold is None or fold >= len(speakers):
                known = ", ".join(f"{number} {speaker}" for number, speaker in enumerate(speakers))
                raise InputError(f"fold = {fold} names no speaker: expected one of {known}")
            tested = who == fold
        train, test = (~tested).nonzero()[:, 0], tested.nonzero()[:, 0]
        if not len(train) or not len(test):
            raise InputError(f"{place} leaves no rows to {'learn from' if len(test) else 'test on'}: is it complete?")
        x, cut = self._spikes(heard, files, settings)
        rates = sounds.rates(rate for _, rate in heard)
        source = f"Free Spoken Digit Dataset, Z. Jackson and others, CC BY-SA 4.0; {len(y)} recordings at {rates}"
        source += f", by a cochlea model (version {hearing.VERSION}); {cut} cut at {settings.crop_s:g} s"
        arrays = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
        by_speaker = (settings.val_on or {"official": "samples", "speaker": "speakers"}[settings.split]) == "speakers"
        return Raw(
            self.name,
            f"{source}; read from {place}",
            verification.sha256({"x": x, "y": y, "speaker": who}),  # of all, whoever is tested
            ArrayRows(arrays["x_train"], counts=True),
            arrays["y_train"],
            ArrayRows(arrays["x_test"], counts=True),
            arrays["y_test"],
            tuple(map(str, range(int(y.max()) + 1))),
            groups=who[train] if by_speaker else None,
            strata=None if by_speaker else (who * (int(y.max()) + 1) + y)[train].unique(return_inverse=True)[1],
        )

    def _spikes(self, heard: list, files: Mapping[str, bytes], chosen: FsddSettings) -> tuple[torch.Tensor, int]:
        key = verification.sha256_of_files((f"{FOLDER}/{name}", content) for name, content in files.items())
        trains = hearing.listen(
            lambda: [sounds.at_rate(*one) for one in heard],
            key,
            chosen.units,
            chosen.conversion_seed,
            torch.get_num_threads(),
            chosen.middle_ear_hz,
        )
        channels = trains.channels // neighbours(chosen.units, chosen.channels)
        return count(Trains(trains.starts, trains.steps / hearing.STEPS_A_SECOND, channels), chosen, self.name)


def _recordings(chosen: DataSettings) -> tuple[Path, dict[str, bytes]]:
    """Where the recordings are, and the content of each by its name, in order."""
    looked = roots(chosen)
    for root in looked:
        for folder in (root / FOLDER, root / "free-spoken-digit-dataset" / FOLDER):
            if folder.is_dir():
                found = {file.name: file.read_bytes() for file in folder.glob("*.wav")}
                return folder, _some(found, folder)
        if (archive := root / ARCHIVE).is_file():
            return archive, _some(_unpacked(archive), archive)
    raise InputError(
        f"the Free Spoken Digit Dataset is not on this machine: put the folder {FOLDER} of {PROJECT} (which moves on, "
        f"so nothing is fetched), or {ARCHIVE} with that folder, into one of {', '.join(map(str, looked))}"
    )


def _some(files: dict[str, bytes], place: Path) -> dict[str, bytes]:
    if not files:
        raise InputError(f"{place} holds no recordings: expected DIGIT_SPEAKER_INDEX.wav, such as 0_george_0.wav")
    return dict(sorted(files.items()))


def _unpacked(archive: Path) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(archive) as file:
            for member in file:
                if member.isfile() and member.name.endswith(".wav"):
                    found[Path(member.name).name] = file.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
        raise InputError(f"{archive} is damaged or cut short ({error}): copy it again") from None
    return found


def _parsed(name: str, place: Path) -> tuple[int, str, int]:
    """Digit, speaker and index of a recording."""
    if not (match := _NAME.fullmatch(name)):
        raise InputError(f"{name} of {place}: expected DIGIT_SPEAKER_INDEX.wav, such as 0_george_0.wav")
    return int(match[1]), match[2], int(match[3])
