"""Data ``shd`` and ``ssc``: Heidelberg Digits and Speech Commands as spikes of a cochlea model with 700 units.

Cramer, Stradmann, Schemmel, Zenke, arXiv 1910.07407. SHD has no validation part: 20 % of its training samples are held
out, and its test part, with two speakers of its own, is left alone. SSC has one.
"""

import hashlib
import shutil
import zipfile
import zlib
from pathlib import Path

from bpfree.data import fetching, locations
from bpfree.data.reader import Raw
from bpfree.data.settings import DataSettings
from bpfree.data.spikes.reader import SpikeReader
from bpfree.data.spikes.settings import UnitSettings
from bpfree.data.spikes.spike_file import read_parts
from bpfree.data.verification import DAMAGED
from bpfree.errors import InputError
from bpfree.training.files import write_atomically

TITLES = {"shd": "Spiking Heidelberg Digits", "ssc": "Spiking Speech Commands"}
PARTS = {"shd": ("train", "test"), "ssc": ("train", "valid", "test")}
ADDRESS = "https://zenkelab.org/datasets/"
MD5 = {  # of the archives that can be fetched; for those of SSC none was published
    "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
    "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
}


class Heidelberg(SpikeReader):
    """Reader of spoken digits in German and English (20 classes), or commands (35)."""

    Settings = UnitSettings
    as_trained = (*SpikeReader.as_trained, "units")

    def read(self, settings: DataSettings) -> Raw:
        """Read the first complete copy, unpacked or as published, else fetch one.

        Raises:
            InputError: no copy, and none can or may be fetched; or a damaged or incomplete one.
        """
        names = {part: f"{self.name}_{part}.h5" for part in PARTS[self.name]}
        folders = [
            folder for root in locations.roots(settings) for folder in (root, root / self.name, root / "hdspikes")
        ]
        place = next((folder for folder in folders if self._complete(folder, list(names.values()))), None)
        if place is None:
            place = self._fetch(folders, list(names.values()))
        files = {part: _unpacked(place / name) for part, name in names.items()}
        source = f"{TITLES[self.name]}, B. Cramer and others, CC BY 4.0; read from {place}"
        return read_parts(self.name, source, files, settings, time_unit="s")

    def _complete(self, folder: Path, names: list[str]) -> bool:
        """True if all files are in a folder, False if none is, or if fetching them was interrupted."""
        there = [name for name in names if _exists(folder / name)]
        if there and len(there) < len(names) and not folder.is_relative_to(locations.downloads()):
            missing = ", ".join(name for name in names if name not in there)
            raise InputError(
                f"{folder} holds {', '.join(there)} but lacks {missing}: all parts are needed in one folder"
            )
        return len(there) == len(names)

    def _fetch(self, folders: list[Path], names: list[str]) -> Path:
        """Fetch the archives and return their folder."""
        missing = f"{TITLES[self.name]} is not on this machine: put {', '.join(names)} (from {ADDRESS}) into one of "
        missing += ", ".join(map(str, folders))
        archives = [f"{name}.zip" for name in names]
        if not all(archive in MD5 for archive in archives):
            raise InputError(f"{missing}; nothing is fetched, since no checksum was published")
        if locations.offline():
            raise InputError(f"{missing}; {locations.OFFLINE} forbids to fetch them")
        place = locations.downloads() / self.name
        try:
            for archive in archives:
                fetching.fetch(fetching.Remote(archive, (ADDRESS + archive,)), place, _check)
        except InputError as error:
            raise InputError(f"{missing}; {error}") from None
        return place


def _exists(file: Path) -> bool:
    """True if the file or its archive exists."""
    return file.is_file() or _archive(file).is_file()


def _archive(file: Path) -> Path:
    """Path of the archive of a file."""
    return file.with_name(f"{file.name}.zip")


def _check(archive: Path) -> None:
    """Compare an archive with its published MD5."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != MD5[archive.name.removesuffix(".part")]:
        raise InputError(f"{archive} is not the published file (its MD5 is {digest}): remove it")


def _unpacked(file: Path) -> Path:
    """Path of the file itself or, where only its archive exists, of a copy of it that is kept in the cache."""
    if file.is_file():
        return file
    archive, kept = _archive(file), locations.downloads() / file.stem.partition("_")[0] / file.name
    if archive.name in MD5:
        _check(archive)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as packed:
            if not _is_copy(kept, packed.getinfo(file.name)):
                with packed.open(file.name) as content:
                    write_atomically(kept, lambda new: shutil.copyfileobj(content, new))
    except (KeyError, *DAMAGED) as error:
        raise InputError(f"cannot unpack {archive} into {kept.parent}: {error}") from None
    return kept


def _is_copy(kept: Path, packed: zipfile.ZipInfo) -> bool:
    """True if a file was unpacked from this archive, by its size and CRC-32."""
    if not kept.is_file() or kept.stat().st_size != packed.file_size:
        return False
    checksum = 0
    with kept.open("rb") as file:
        while piece := file.read(1 << 20):
            checksum = zlib.crc32(piece, checksum)
    return checksum == packed.CRC
