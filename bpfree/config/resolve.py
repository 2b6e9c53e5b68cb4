"""Names to classes. The folder is the registry: rule ``mono-forward`` is the file ``rules/mono_forward.py``."""

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bpfree.errors import InputError, unknown

if TYPE_CHECKING:
    from bpfree.training.trainer import Trainer

PACKAGE = Path(__file__).parents[1]


def names(folder: str) -> dict[str, str]:
    """Name -> first line of the docstring for every file in ``rules`` or ``nets``, without importing any."""
    return {name: first_line(path) for name, path in files(folder).items()}


def files(folder: str) -> dict[str, Path]:
    """Name -> file of everything in ``rules`` or ``nets``; a rule may lie in the folder of its family."""
    depth = "[!_]*.py" if folder == "nets" else "**/[!_]*.py"
    return {path.stem.replace("_", "-"): path for path in sorted((PACKAGE / folder).glob(depth))}


def builtin(folder: str, name: str) -> ModuleType:
    """The module of a built-in name."""
    path = files(folder)[name].relative_to(PACKAGE.parent).with_suffix("")
    return importlib.import_module(".".join(path.parts))


@functools.cache  # parsing is slow, and not meant for several threads at once
def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def plugins() -> dict[str, importlib.metadata.EntryPoint]:
    """Other packages' rules, by entry points in the group ``bpfree.rules``."""
    return {point.name: point for point in importlib.metadata.entry_points(group="bpfree.rules")}


def rule(name: str) -> type["Trainer"]:
    """The Trainer subclass called ``name``: a built-in rule, a plug-in, or ``FILE.py:Class``.

    Raises:
        InputError: no such rule (with the nearest names), or a file that does not hold one.
    """
    if file := file_and_class(name):
        found = _from_file(name, *file)
    elif name in names("rules"):
        found = _only_trainer(builtin("rules", name), name)
    elif name in plugins():
        found = plugins()[name].load()
    else:
        raise unknown("rule", name, [*names("rules"), *plugins()])
    if inspect.isabstract(found):
        raise InputError(f"{name} is not complete: it must define {' and '.join(sorted(found.__abstractmethods__))}")
    return found


def file_and_class(name: str) -> tuple[Path, str] | None:
    """The parts of ``FILE.py:Class``, the class "" when it is left out; None: not the name of a file."""
    match = re.fullmatch(r"(.*\.py)(?::(\w+))?", name)
    return (Path(match[1]), match[2] or "") if match else None


def net(name: str) -> tuple[Callable[..., list], type]:
    """(build, Settings) of the net called ``name``."""
    if name not in names("nets"):
        raise unknown("net", name, names("nets"))
    module = builtin("nets", name)
    return module.build, module.Settings


def source_hash(name: str) -> str | None:
    """SHA-256 of a rule that comes as ``FILE.py:Class``; None for one that has a name."""
    file = file_and_class(name)
    return hashlib.sha256(file[0].read_bytes()).hexdigest() if file else None


def module_of(file: Path, what: str, give: str) -> ModuleType:
    """A user's Python file as a module; ``what`` it is and what to ``give`` instead are words of the error."""
    if not file.is_file():
        raise InputError(f"{what} {file} does not exist: give {give}")
    running = sys.modules["__main__"]
    if (own := getattr(running, "__file__", None)) and Path(own).resolve() == file.resolve():
        return running  # a script that asks for its own rule is not run a second time
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)  # as Python does for a script: it may import its neighbours
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except Exception as error:
        raise InputError(f"{what} {file} does not import: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)  # and nothing that the file itself put before it
    return module


def _from_file(name: str, file: Path, wanted: str) -> type["Trainer"]:
    module = module_of(file, "rule file", "FILE.py:Class")
    if not wanted:
        return _only_trainer(module, str(file))
    found: Any = getattr(module, wanted, None)
    if found is None and not _trainers(module):
        raise InputError(f"{file} defines no Trainer: subclass bpfree.Trainer in it")
    if found is None:
        raise unknown(f"class in {file}", wanted, _trainers(module))
    if not _is_trainer(found):
        raise InputError(f"{name} is not a Trainer: subclass bpfree.Trainer")
    return found


def _only_trainer(module: ModuleType, name: str) -> type["Trainer"]:
    found = _trainers(module)
    if len(found) != 1:
        has = ", ".join(found) or "none"
        raise InputError(
            f"{name} must define exactly one public Trainer subclass, it has {has}: name it as FILE.py:Class"
        )
    return next(iter(found.values()))


def _trainers(module: ModuleType) -> dict[str, type["Trainer"]]:
    classes = inspect.getmembers(module, _is_trainer)
    return {name: cls for name, cls in classes if cls.__module__ == module.__name__ and not name.startswith("_")}


def _is_trainer(thing: object) -> bool:
    from bpfree.training.trainer import Trainer

    return isinstance(thing, type) and issubclass(thing, Trainer) and thing is not Trainer
