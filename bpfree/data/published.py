"""Published data: looked for in every place it may lie in, else fetched; never replaced by something else."""

import hashlib
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from bpfree.data import fetching, locations
from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError


class Published(Reader):
    """A data set with a name of its own.

    A place that holds a file of the right name but another content is an error, not a reason to look elsewhere.

    Attributes:
        title, credit: what `Spec.source` begins with: the data set, its authors and licence.
        layouts: folders and files, relative to a root, that count as this data set.
        others: folders, in those that the user named, that `instead` may take.
        files: what is fetched when none is there, each checked by `check`.
        folder: where fetched files are kept, below `places.downloads`, so that one of the layouts finds them.
    """

    title: ClassVar[str]
    credit: ClassVar[str]
    layouts: ClassVar[tuple[str, ...]]
    others: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[fetching.Remote, ...]]
    folder: ClassVar[str] = ""

    @abstractmethod
    def open(self, place: Path) -> Raw | None:
        """What lies at ``place``, a root and a layout joined; None when that is not there.

        Raises:
            InputError: it is there but is not what was published.
        """

    @abstractmethod
    def check(self, file: Path) -> Any:
        """Raise InputError unless the fetched ``file`` holds what was published; its last suffix may be ``.part``."""

    def read(self, settings: DataSettings) -> Raw:
        """From the first place that has it, else from the network.

        Raises:
            InputError: a damaged copy; or none, and none can or may be fetched.
        """
        roots = locations.roots(settings)
        if (found := self._first(roots)) is not None:
            return found
        if (found := self.instead(settings)) is not None:
            return found
        looked = f"looked in {', '.join(map(str, roots))} for {', '.join((*self.layouts, *self.others))}"
        size = sum(file.size for file in self.files) / 1e6
        if locations.offline():
            raise InputError(
                f"{self.title} is not on this machine and {locations.OFFLINE} forbids to fetch it ({size:.0f} MB): "
                f"{looked}; give --data-dir DIR or {locations.DATA_DIR}, or unset {locations.OFFLINE}"
            )
        try:
            for file in self.files:
                fetching.fetch(file, locations.downloads() / self.folder, self.check)
        except InputError as error:
            raise InputError(f"{self.title} is not on this machine: {looked}; {error}") from None
        found = self._first([locations.downloads()])
        assert found is not None
        return found

    def _first(self, roots: list[Path]) -> Raw | None:
        """From the first place below ``roots`` that has it."""
        for place in (root / layout for root in roots for layout in self.layouts):
            try:
                found = self.open(place)
            except OSError as error:
                raise InputError(f"cannot read {place}: {error.strerror}") from None
            if found is not None:
                return found
        return None

    def instead(self, settings: DataSettings) -> Raw | None:
        """Another form of the data in a folder that the user named, said to be another in its source; or None."""
        return None

    def source(self, place: Path, note: str = "canonical payload") -> str:
        """Where the data came from, in words."""
        return f"{self.title}, {self.credit}; {note}, read from {place}"


def wrong(path: Path, title: str, why: str) -> InputError:
    """The error for a file that is not what was published."""
    return InputError(f"{path} is not the published {title} ({why}): remove it or put the real file in its place")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
