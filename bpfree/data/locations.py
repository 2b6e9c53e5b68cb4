"""Locations of data: folders that are searched for published data, and the cache for fetched files."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bpfree.errors import InputError

DATA_DIR, CACHE, OFFLINE = "BPFREE_DATA_DIR", "BPFREE_CACHE", "BPFREE_OFFLINE"
SYSTEM = Path("/usr/share/datasets")  # of Debian's packages dataset-…


def path(text: str | os.PathLike[str]) -> Path:
    """Path with ``~`` and ``~user`` replaced by the home folder.

    Raises:
        InputError: a user that does not exist.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{text}: there is no such user: write the whole path") from None


def named_path(settings: Any, where: str) -> Path:
    """File or folder of a data name such as ``npz:FILE``.

    Args:
        settings: of the data, with ``data_dir``.
        where: part of the name after the colon.

    Returns:
        The path, under ``data_dir`` unless it is absolute.
    """
    return path(settings.data_dir) / path(where)


def cache() -> Path:
    """Cache folder: ``BPFREE_CACHE``, else ``bpfree`` in the user's cache (XDG Base Directory Specification)."""
    if folder := os.environ.get(CACHE):
        return path(folder)
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else path("~/.cache")) / "bpfree"


def downloads() -> Path:
    """Folder of fetched files."""
    return cache() / "data"


def offline() -> bool:
    """True if ``BPFREE_OFFLINE`` forbids to fetch anything."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def user_folders(settings: Any) -> Iterator[Path]:
    """Folders named by the user: ``data_dir``, then ``BPFREE_DATA_DIR``, each followed by its subfolder ``data``.

    Raises:
        InputError: one of them is no folder; nothing else is read or fetched in place of its content.
    """
    for name, root in (("--data-dir", settings.data_dir), (DATA_DIR, os.environ.get(DATA_DIR))):
        if root:
            if not os.path.isdir(folder := path(root)):
                raise InputError(f"{name} is {folder}, which is not a folder: name one that holds the data")
            yield folder
            yield folder / "data"  # torchvision's documentation saves to ./data


def roots(settings: Any) -> list[Path]:
    """Folders that are searched for published data, in order of precedence."""
    keras = path(os.environ.get("KERAS_HOME", "~/.keras")) / "datasets"
    return list(dict.fromkeys([*user_folders(settings), downloads(), SYSTEM, keras]))
