"""Data ``fsdd``: spoken digits by six speakers (Free Spoken Digit Dataset), as spikes of a cochlea model.

The test part is the official one, recordings 0 to 4 of every speaker and digit, or all recordings of one speaker
(``split=speaker``). Of the others, validation takes an equal share of every speaker and digit or, where the test part
is a speaker, whole speakers.

Neighbouring places of the membrane are summed to a channel, by default five as in the Heidelberg data sets: the spikes
of a single place in a bin are mostly the chance of its 40 fibres.
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
from bpfree.data.spikes import sounds
from bpfree.data.spikes.bins import Cut, Trains, count, cut_notes, sum_notes, units_per_channel
from bpfree.data.spikes.cochlea import STEPS_A_SECOND, VERSION, convert_sounds
from bpfree.data.spikes.reader import SpikeReader
from bpfree.data.spikes.settings import SpikeSettings
from bpfree.errors import InputError
from bpfree.functional.cochlea import MIDDLE_EAR_HZ

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
        None,
        "number, by name, of the speaker of the test part with split = speaker (none: the run's seed modulo 6)",
        ge=0,
    )
    units: int = setting(
        700, "number of places along the membrane, each with a bushy cell; a multiple of channels", ge=1, le=65535
    )
    middle_ear_hz: float = setting(
        MIDDLE_EAR_HZ, "high-pass before the cochlea (0: none, as in SHD)", unit="Hz", ge=0, le=20000
    )
    conversion_seed: int = setting(0, "seed of the spikes", ge=0)


class Fsdd(SpikeReader):
    """Reader of 3,000 recordings of the digits: six speakers, 50 of each digit."""

    Settings = FsddSettings
    as_trained = (*SpikeReader.as_trained, "split", "fold", "units", "middle_ear_hz", "conversion_seed")

    def resolve_settings(self, settings: Mapping[str, Any] | DataSettings | None, seed: int) -> FsddSettings:
        resolved: Any = super().resolve_settings(settings, seed)
        if resolved.split == "official" or resolved.fold is not None:
            return resolved
        return dataclasses.replace(resolved, fold=seed % _SPEAKERS)

    def read(self, settings: DataSettings) -> Raw:
        """Read the recordings as spikes, converted the first time that these recordings and settings are used.

        Raises:
            InputError: no recordings; one that is damaged, misnamed or not a mono WAV file; or no such fold.
        """
        assert isinstance(settings, FsddSettings)
        units_per_channel(settings.units, settings.channels)  # an error before anything is read
        place, files = _recordings(settings)
        named = [_parsed(name, place) for name in files]
        recordings = [sounds.read_wav(content, f"{name} of {place}") for name, content in files.items()]
        speakers = sorted({speaker for _, speaker, _ in named})
        y = torch.tensor([digit for digit, _, _ in named])
        speaker = torch.tensor([speakers.index(speaker) for _, speaker, _ in named])
        verification.classes(y, f"the recordings of {place}")
        if settings.split == "official":
            tested = torch.tensor([index for _, _, index in named]) < _TEST
        else:
            fold = settings.fold
            if fold is None or fold >= len(speakers):
                known = ", ".join(f"{number} {speaker}" for number, speaker in enumerate(speakers))
                raise InputError(f"fold = {fold} names no speaker: expected one of {known}")
            tested = speaker == fold
        train, test = (~tested).nonzero()[:, 0], tested.nonzero()[:, 0]
        if not len(train) or not len(test):
            raise InputError(f"{place} leaves no rows to {'learn from' if len(test) else 'test on'}: is it complete?")
        x, cut = self._spikes(recordings, files, settings)
        rates = sounds.rates_in_words(rate for _, rate in recordings)
        source = f"Free Spoken Digit Dataset, Z. Jackson and others, CC BY-SA 4.0; {len(y)} recordings at {rates}"
        source += f", by a cochlea model (version {VERSION})"
        arrays = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
        by_speaker = (settings.val_on or {"official": "samples", "speaker": "speakers"}[settings.split]) == "speakers"
        return Raw(
            self.name,
            f"{source}; read from {place}",
            verification.sha256({"x": x, "y": y, "speaker": speaker}),  # of all recordings, in any split
            ArrayRows(arrays["x_train"], counts=True),
            arrays["y_train"],
            ArrayRows(arrays["x_test"], counts=True),
            arrays["y_test"],
            tuple(map(str, range(int(y.max()) + 1))),
            groups=speaker[train] if by_speaker else None,
            strata=None if by_speaker else (speaker * (int(y.max()) + 1) + y)[train].unique(return_inverse=True)[1],
            notes=(*sum_notes(settings.units, settings.channels), *cut_notes(cut, len(y), settings)),
        )

    def _spikes(self, recordings: list, files: Mapping[str, bytes], settings: FsddSettings) -> tuple[torch.Tensor, Cut]:
        """Spike counts ``(N, T, channels)`` of all recordings, and what was cut."""
        key = verification.sha256_of_files((f"{FOLDER}/{name}", content) for name, content in files.items())
        trains = convert_sounds(
            lambda: [sounds.resample(sound, rate) for sound, rate in recordings],
            key,
            settings.units,
            settings.conversion_seed,
            torch.get_num_threads(),
            settings.middle_ear_hz,
        )
        channels = trains.channels // units_per_channel(settings.units, settings.channels)
        return count(Trains(trains.starts, trains.steps / STEPS_A_SECOND, channels), settings, self.name)


def _recordings(settings: DataSettings) -> tuple[Path, dict[str, bytes]]:
    """Place of the recordings, and the content of each by its name, in order."""
    folders = roots(settings)
    for root in folders:
        for folder in (root / FOLDER, root / "free-spoken-digit-dataset" / FOLDER):
            if folder.is_dir():
                return folder, _some({file.name: file.read_bytes() for file in folder.glob("*.wav")}, folder)
        if (archive := root / ARCHIVE).is_file():
            return archive, _some(_unpacked(archive), archive)
    raise InputError(
        f"the Free Spoken Digit Dataset is not on this machine: put the folder {FOLDER} of {PROJECT} (which changes, "
        f"so nothing is fetched), or {ARCHIVE} with that folder, into one of {', '.join(map(str, folders))}"
    )


def _some(files: dict[str, bytes], place: Path) -> dict[str, bytes]:
    """Sort the files, of which there must be some."""
    if not files:
        raise InputError(f"{place} holds no recordings: expected DIGIT_SPEAKER_INDEX.wav, such as 0_george_0.wav")
    return dict(sorted(files.items()))


def _unpacked(archive: Path) -> dict[str, bytes]:
    """Content of the WAV files in an archive."""
    files = {}
    try:
        with tarfile.open(archive) as file:
            for member in file:
                if member.isfile() and member.name.endswith(".wav"):
                    files[Path(member.name).name] = file.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
        raise InputError(f"{archive} is damaged or cut short ({error}): copy it again") from None
    return files


def _parsed(name: str, place: Path) -> tuple[int, str, int]:
    """Digit, speaker and index of a recording."""
    if not (match := _NAME.fullmatch(name)):
        raise InputError(f"{name} of {place}: expected DIGIT_SPEAKER_INDEX.wav, such as 0_george_0.wav")
    return int(match[1]), match[2], int(match[3])
