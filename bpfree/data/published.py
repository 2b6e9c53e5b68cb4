"""Published data: searched for in all known locations, else fetched; never replaced by other data."""

import hashlib
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from bpfree.data import fetching, locations
from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError


class Published(Reader):
    """Reader of a published data set.

    A file of the right name but with other content is an error, not a reason to search elsewhere.

    Attributes:
        title: of the data set, the beginning of `Spec.source`.
        credit: authors and licence, which follow it.
        layouts: folders and files, relative to a root, that are recognised as this data set.
        substitutes: folders, relative to the user's data folders, that `substitute` accepts.
        files: files to fetch when there is no copy, each checked by `check`.
        folder: folder of fetched files below `locations.downloads`, such that one of the layouts matches.
    """

    title: ClassVar[str]
    credit: ClassVar[str]
    layouts: ClassVar[tuple[str, ...]]
    substitutes: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[fetching.Remote, ...]]
    folder: ClassVar[str] = ""

    @abstractmethod
    def open(self, place: Path) -> Raw | None:
        """Read the copy at ``place``, a root and a layout joined; None when there is none.

        Raises:
            InputError: a copy that differs from what was published.
        """

    @abstractmethod
    def check(self, file: Path) -> Any:
        """Check a fetched file, whose last suffix may be ``.part``.

        Raises:
            InputError: it differs from what was published.
        """

    def read(self, settings: DataSettings) -> Raw:
        """Read the first copy in the locations, else fetch one.

        Raises:
            InputError: a damaged copy; or none, and none can or may be fetched.
        """
        roots = locations.roots(settings)
        if (raw := self._first(roots)) is not None:
            return raw
        if (raw := self.substitute(settings)) is not None:
            return raw
        searched = f"looked in {', '.join(map(str, roots))} for {', '.join((*self.layouts, *self.substitutes))}"
        size = sum(file.size for file in self.files) / 1e6
        if locations.offline():
            raise InputError(
                f"{self.title} is not on this machine and {locations.OFFLINE} forbids to fetch it ({size:.0f} MB): "
                f"{searched}; give --data-dir DIR or {locations.DATA_DIR}, or unset {locations.OFFLINE}"
            )
        try:
            for file in self.files:
                fetching.fetch(file, locations.downloads() / self.folder, self.check)
        except InputError as error:
            raise InputError(f"{self.title} is not on this machine: {searched}; {error}") from None
        raw = self._first([locations.downloads()])
        assert raw is not None
        return raw

    def _first(self, roots: list[Path]) -> Raw | None:
        """Read the first copy below ``roots``."""
        for place in (root / layout for root in roots for layout in self.layouts):
            try:
                raw = self.open(place)
            except OSError as error:
                raise InputError(f"cannot read {place}: {error.strerror}") from None
            if raw is not None:
                return raw
        return None

    def substitute(self, settings: DataSettings) -> Raw | None:
        """Read another form of the data from a folder that the user named, with a note in its source; or None."""
        return None

    def source(self, place: Path, note: str = "canonical payload") -> str:
        """Origin of the data in words.

        Args:
            place: of the copy.
            note: form of the copy.

        Returns:
            Title, credit, note and place.
        """
        return f"{self.title}, {self.credit}; {note}, read from {place}"


def wrong(path: Path, title: str, why: str) -> InputError:
    """Error for a file that differs from what was published.

    Args:
        path: of the file.
        title: of the data set.
        why: the difference.

    Returns:
        The error, to be raised.
    """
    return InputError(f"{path} is not the published {title} ({why}): remove it or put the real file in its place")


def sha256(content: bytes) -> str:
    """SHA-256 of bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
