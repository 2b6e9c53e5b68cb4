"""Files that are never seen half-written."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bpfree.errors import InputError, RunFailed


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write under a temporary name, sync, rename: ``path`` holds the old content or the new, whatever happens.

    Whatever ``write`` raises, and OSError when the disk is full or refuses, comes through; the old content then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: Path, what: str) -> None:
    """Put ``text`` at ``path`` in one step. RunFailed when it cannot be written; an older file then stays."""
    try:
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise RunFailed(f"cannot write the {what} {path}: {error.strerror or error}") from error


def write_json(value: Mapping[str, Any], path: Path, what: str) -> None:
    """Put ``value`` at ``path`` as JSON, as `write_text` does. ValueError for a number that is not finite."""
    write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", path, what)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The JSON object at ``path``. InputError when it cannot be read or is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"the {what} {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"the {what} {path} is not a JSON object")
    return value


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
