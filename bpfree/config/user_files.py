"""Python files of the user's own, written as ``FILE.py:object``: each is executed once a process."""

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from bpfree.errors import InputError

_modules: dict[tuple[Path, str], ModuleType] = {}  # by resolved path and SHA-256 of the bytes that were compiled
_sha256: dict[str, str] = {}  # of the bytes behind each of those modules, by its name


def file_and_object(text: str) -> tuple[Path, str] | None:
    """Path and object of ``FILE.py:object``, the object "" when it is left out; None: not the name of a file."""
    match = re.fullmatch(r"(.*\.py)(?::(\w+))?", text)
    return (Path(match[1]), match[2] or "") if match else None


def absolute(text: str) -> str:
    """``FILE.py:object`` with the absolute path of the file, so that it is found from any folder; other names as is."""
    parts = file_and_object(text)
    return ":".join(filter(None, (str(parts[0].resolve()), parts[1]))) if parts else text


def short_name(text: str) -> str:
    """A name for folders: the file's without its ending, or the name itself."""
    parts = file_and_object(text)
    return parts[0].stem if parts else text


def sha256_of(file: Path, loaded: object = None) -> str:
    """SHA-256 of a file.

    Args:
        file: the Python file.
        loaded: an object that came out of it: the hash is then of the bytes that were executed to make it, even when
            the file has been edited since.
    """
    executed = _sha256.get(getattr(loaded, "__module__", ""))
    return executed or hashlib.sha256(file.read_bytes()).hexdigest()


def module_of(file: Path, noun: str, form: str) -> ModuleType:
    """The module that a Python file makes, executed when this process has not executed the same bytes before.

    Args:
        file: the Python file.
        noun: kind of thing that it holds, for errors: ``rule``.
        form: the right way to write it, for errors: ``FILE.py:Class``.

    Raises:
        InputError: there is no such file, or it does not import.
    """
    if not file.is_file():
        raise InputError(f"{noun} file {file} does not exist: give {form}")
    path = file.resolve()
    running = sys.modules["__main__"]
    if (script := getattr(running, "__file__", None)) and Path(script).resolve() == path:
        return running  # a script that asks for its own rule is not run a second time
    source = path.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    if (path, sha256) not in _modules:
        _execute(path, source, sha256, f"{noun} file {file}")
    return _modules[path, sha256]


def _execute(path: Path, source: bytes, sha256: str, title: str) -> None:
    # Dataclasses, pydantic and inspect look a class up through sys.modules: the name there must be the file's alone.
    place = hashlib.sha256(str(path).encode()).hexdigest()
    name = f"{path.stem}_{place[:8]}_{sha256[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    folder = str(path.parent)
    sys.path.insert(0, folder)  # as Python does for a script: it may import its neighbours
    sys.modules[name] = _modules[path, sha256] = module
    _sha256[name] = sha256
    try:
        # Not the loader's exec_module, which reads the file once more: the bytes hashed are the bytes that run.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        del sys.modules[name], _modules[path, sha256], _sha256[name]
        if not isinstance(error, Exception):
            raise
        raise InputError(f"{title} does not import: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)  # and nothing that the file itself put before it
