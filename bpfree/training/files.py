"""Files that are never seen half-written, and folders that one process works in at a time."""

import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from bpfree.errors import InputError, RunFailed

LOCK = ".lock"  # file in the folder of a run or a study, locked by the process that works there


def write_atomically(path: Path, write: Callable[[BinaryIO], Any], kind: str = "") -> None:
    """Write under a temporary name, sync, rename: ``path`` holds the old content or the new, whatever happens.

    Args:
        path: the file.
        write: puts the content into the open file; exceptions of its own pass through, and the old content stays.
        kind: noun for the error message, such as ``record``.

    Raises:
        RunFailed: the disk is full or refuses; the message says how much room is left.
    """
    # A name of its own for every thread, as two of them may write the same file at the same time.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        why = getattr(error, "strerror", None) or error
        why = "the file was cut short" if "inline_container" in str(error) else why  # torch names a position
        name = f"the {kind} {path}" if kind else path.name
        room = _room(path.parent)
        raise RunFailed(f"could not write {name}: {why}; {room}; what was there before is kept") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: Path, kind: str = "") -> None:
    """Put ``text`` at ``path`` in one step.

    Args:
        text: content, written as UTF-8.
        path: the file.
        kind: noun for the error message, such as ``record``.

    Raises:
        RunFailed: it cannot be written; an older file then stays.
    """
    write_atomically(path, lambda file: file.write(text.encode()), kind)


def write_json(value: Mapping[str, Any], path: Path, kind: str) -> None:
    """Put ``value`` at ``path`` as JSON, as `write_text` does.

    Args:
        value: plain JSON.
        path: the file.
        kind: noun for the error message, such as ``record``.

    Raises:
        RunFailed: it cannot be written; an older file then stays.
        ValueError: a number in it is not finite.
    """
    write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", path, kind)


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """Read the JSON object at ``path``.

    Args:
        path: the file.
        kind: noun for the error message, such as ``record``.

    Returns:
        The object as a dict.

    Raises:
        InputError: the file cannot be read or holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except OSError as error:
        raise InputError(f"cannot read the {kind} {path}: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        raise InputError(f"the {kind} {path} is not JSON: text in it has half of a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the {kind} {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"the {kind} {path} is not a JSON object")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number there")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


@contextmanager
def locked(folder: Path, advice: str, name: str = LOCK) -> Iterator[None]:
    """Keep other processes out of a folder; the lock also ends when this process does.

    Args:
        folder: it must exist.
        advice: end of the error message, the alternative to waiting.
        name: of the locked file, which is in the folder for as long as the lock is held.

    Raises:
        InputError: another process holds it, or the file system refuses.
    """
    lock = FileLock(folder / name, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"another process is working in {folder}: wait for it, or {advice}") from None
    except OSError as error:
        raise InputError(f"cannot lock {folder}: {error.strerror or error}") from None
    try:
        yield
    finally:
        if os.name != "nt":  # there filelock removes it; a process that waits for a removed file takes a new one
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _room(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 2**20:.0f} MiB are free in {folder}"
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror or error}"


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows opens no folder for that and has no need to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
