"""Where published data is looked for on this machine, and where it is kept once fetched."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bpfree.errors import InputError

DATA_DIR, CACHE, OFFLINE = "BPFREE_DATA_DIR", "BPFREE_CACHE", "BPFREE_OFFLINE"
SYSTEM = Path("/usr/share/datasets")  # where Debian's packages dataset-… put theirs


def path(text: str | os.PathLike[str]) -> Path:
    """``text`` with ``~`` and ``~user`` as the home folders they stand for. InputError: a user that does not exist."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{text}: there is no such user: write the whole path") from None


def given(settings: Any, where: str) -> Path:
    """The file or folder that a data name such as ``npz:FILE`` names, under ``data_dir`` unless it is absolute."""
    return path(settings.data_dir) / path(where)


def cache() -> Path:
    """``BPFREE_CACHE``, else ``bpfree`` in the user's cache folder (XDG Base Directory Specification)."""
    if own := os.environ.get(CACHE):
        return path(own)
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else path("~/.cache")) / "bpfree"


def downloads() -> Path:
    """Where fetched files are kept."""
    return cache() / "data"


def offline() -> bool:
    """Whether ``BPFREE_OFFLINE`` forbids to fetch anything."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def own(settings: Any) -> Iterator[Path]:
    """The folders that the user named: ``data_dir``, then ``BPFREE_DATA_DIR``; in each also ``data``.

    Raises:
        InputError: one of them is no folder, so that nothing is taken, or fetched, in place of what it was to hold.
    """
    for name, root in (("--data-dir", settings.data_dir), (DATA_DIR, os.environ.get(DATA_DIR))):
        if root:
            if not os.path.isdir(folder := path(root)):
                raise InputError(f"{name} is {folder}, which is not a folder: name one that holds the data")
            yield folder
            yield folder / "data"  # torchvision's documentation saves to ./data


def roots(settings: Any) -> list[Path]:
    """Every folder under which published data may lie, the first to count first."""
    keras = path(os.environ.get("KERAS_HOME", "~/.keras")) / "datasets"
    return list(dict.fromkeys([*own(settings), downloads(), SYSTEM, keras]))
