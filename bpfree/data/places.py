"""Where published data is looked for on this machine, and where it is kept once fetched."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA_DIR, CACHE, OFFLINE = "BPFREE_DATA_DIR", "BPFREE_CACHE", "BPFREE_OFFLINE"
SYSTEM = Path("/usr/share/datasets")  # where Debian's packages dataset-… put theirs


def cache() -> Path:
    """``BPFREE_CACHE``, else ``bpfree`` in the user's cache folder (XDG Base Directory Specification)."""
    if own := os.environ.get(CACHE):
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()) / "bpfree"


def downloads() -> Path:
    """Where fetched files are kept."""
    return cache() / "data"


def offline() -> bool:
    """Whether ``BPFREE_OFFLINE`` forbids to fetch anything."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def own(settings: Any) -> Iterator[Path]:
    """The folders that the user named: ``data_dir``, then ``BPFREE_DATA_DIR``; in each also ``data``."""
    for root in (settings.data_dir, os.environ.get(DATA_DIR)):
        if root:
            yield Path(root).expanduser()
            yield Path(root).expanduser() / "data"  # torchvision's documentation saves to ./data


def roots(settings: Any) -> list[Path]:
    """Every folder under which published data may lie, the first to count first."""
    keras = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    return list(dict.fromkeys([*own(settings), downloads(), SYSTEM, keras]))
