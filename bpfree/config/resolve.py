"""One resolver for everything that has a name: a built-in NAME, ``FILE.py:object``, or another package's entry point.

A `Kind` says where each is looked for. It is declared in the room that the things are in (``bpfree.rules.RULES``,
``bpfree.nets.NETS``, ``bpfree.data.DATA``, ``bpfree.runs.meters.METERS``), so that nothing here knows any of them.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bpfree.config.user_files import file_and_object, module_of, sha256_of
from bpfree.errors import BpfreeError, InputError, unknown

PACKAGE = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of thing that users name: rules, nets, data, meters.

    Args:
        noun: its name in messages: ``rule``.
        group: entry-point group in which other packages offer theirs: ``bpfree.rules``.
        builtin: name -> ``module`` or ``module:object`` of those that come with bpfree; see `modules_in`.
        base: ``module:Class`` of which each is a subclass, imported when first needed; "": any object.
        functions: what a function that makes them returns, for messages; "": functions are not accepted.
        also: ``module:Class`` of which a subclass is accepted too, where functions are.
    """

    noun: str
    group: str
    builtin: Mapping[str, str] = dataclasses.field(default_factory=dict)
    base: str = ""
    functions: str = ""
    also: str = ""

    def names(self) -> dict[str, str]:
        """Every name -> first line of its module's docstring, without importing any."""
        lines = {name: first_line(where.partition(":")[0]) for name, where in self.builtin.items()}
        return lines | {name: f"plug-in {point.value}" for name, point in self.plugins().items()}

    def plugins(self) -> dict[str, importlib.metadata.EntryPoint]:
        """Entry points of other packages, by name."""
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}

    def choices(self) -> list[str]:
        """Every name, without reading the docstrings."""
        return [*self.builtin, *self.plugins()]

    def load(self, text: str) -> Any:
        """The object that ``text`` names: a subclass of ``base``, a function, or any object, as the kind has it.

        Args:
            text: a name, ``FILE.py:object``, or ``FILE.py`` where the file holds only one.

        Raises:
            InputError: no such name (with the nearest), no such file, or something else than this kind of thing.
        """
        if file := file_and_object(text):
            thing = self._from_file(text, *file)
        elif text in self.builtin:
            module, _, name = self.builtin[text].partition(":")
            thing = self._in_module(importlib.import_module(module), text, name)
        elif text in (plugins := self.plugins()):
            thing = self._from_plugin(plugins[text])
        else:
            raise unknown(self.noun, text, self.choices())
        if inspect.isabstract(thing):
            missing = " and ".join(sorted(thing.__abstractmethods__))
            raise InputError(f"{text} is not complete: it must define {missing}")
        return thing

    def source_hash(self, text: str, loaded: object = None) -> str | None:
        """SHA-256 of the file in ``FILE.py:object``; None for a name.

        Args:
            text: as for `load`.
            loaded: what `load` returned for it: the hash is of the bytes that were executed then.
        """
        file = file_and_object(text)
        return sha256_of(file[0], loaded) if file else None

    def _from_file(self, text: str, file: Path, name: str) -> Any:
        module = module_of(file, self.noun, self._form)
        if not name:
            return self._in_module(module, str(file), "")
        thing = getattr(module, name, None)
        if thing is None and self.base and not self._makers(module):
            raise InputError(f"{file} defines no {self._base_name}: subclass {self._base_path} in it")
        if thing is None:
            raise unknown(f"{self._form.partition(':')[2].lower()} in {file}", name, self._makers(module))
        return self._checked(thing, text)

    def _from_plugin(self, point: importlib.metadata.EntryPoint) -> Any:
        try:
            thing = point.load()
        except Exception as error:  # another package's code may fail in any way
            why = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.noun} plug-in {point.name} does not import: {why}") from error
        return self._checked(thing, point.name)

    def _in_module(self, module: ModuleType, text: str, name: str) -> Any:
        """The object ``name`` of a module; without a name its only public subclass of ``base``, or the module."""
        if name or not self.base:
            return getattr(module, name) if name else module
        classes = self._subclasses(module)
        if len(classes) != 1:
            names = ", ".join(classes) or "none"
            raise InputError(
                f"{text} must define exactly one public {self._base_name} subclass, it has {names}:"
                f" name it as {self._form}"
            )
        return next(iter(classes.values()))

    def _checked(self, thing: Any, text: str) -> Any:
        makes = self.functions and (inspect.isroutine(thing) or (self.also and _is_subclass(thing, self.also)))
        if not self.base or self._is_subclass(thing) or makes:
            return thing
        function = f" or write a function that returns {self.functions}" if self.functions else ""
        raise InputError(f"{text} is not a {self._base_name}: subclass {self._base_path}{function}")

    def _subclasses(self, module: ModuleType) -> dict[str, type]:
        """Public subclasses of ``base`` (without one, all public classes) that the module itself defines."""
        classes = inspect.getmembers(module, self._is_subclass)
        return {name: cls for name, cls in classes if cls.__module__ == module.__name__ and not name.startswith("_")}

    def _makers(self, module: ModuleType) -> dict[str, Any]:
        """Things of a module that can be named: subclasses of ``base``, and functions where those are accepted."""
        functions = inspect.getmembers(module, inspect.isfunction) if self.functions else []
        own = {name: f for name, f in functions if f.__module__ == module.__name__ and not name.startswith("_")}
        return self._subclasses(module) | own

    def _is_subclass(self, thing: object) -> bool:
        return _is_subclass(thing, self.base) if self.base else isinstance(thing, type)

    @property
    def _form(self) -> str:
        """The right way to name one in a file."""
        return f"FILE.py:{'function' if self.functions else 'Class' if self.base else 'object'}"

    @property
    def _base_name(self) -> str:
        return self.base.rpartition(":")[2]

    @property
    def _base_path(self) -> str:
        return self.base.replace(":", ".")


def _is_subclass(thing: object, base: str) -> bool:
    """True for a subclass of the class ``module:Class``, which is imported, other than itself."""
    module, _, name = base.partition(":")
    cls = getattr(importlib.import_module(module), name)
    return isinstance(thing, type) and issubclass(thing, cls) and thing is not cls


def call(function: Callable[..., Any], text: str, *arguments: Any, **keywords: Any) -> Any:
    """Call a function of the user's own.

    Args:
        function: loaded from ``text``.
        text: its kind and name, for the message: ``data mine.py:load``.
        *arguments: of the function.
        **keywords: of the function.

    Raises:
        InputError: it fails.
    """
    try:
        return function(*arguments, **keywords)
    except BpfreeError:
        raise
    except Exception as error:  # a user's code may fail in any way
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{text} cannot be made: {why}") from error


def modules_in(package: str, *, deep: bool = False) -> dict[str, str]:
    """Name -> module of every file in a folder of bpfree: ``mono-forward`` is ``bpfree.rules.mono_forward``.

    Args:
        package: the folder, as Python imports it.
        deep: its subfolders too; else those hold what several of its modules share.
    """
    folder = _path(package)
    files = sorted(folder.glob("**/[!_]*.py" if deep else "[!_]*.py"), key=lambda path: path.stem)
    parts = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in files}
    return {path.stem.replace("_", "-"): ".".join(parts[path]) for path in files}


@functools.cache  # parsing is slow, and not meant for several threads at once
def first_line(module: str) -> str:
    """First line of the docstring of one of bpfree's modules, which is not imported."""
    return (ast.get_docstring(ast.parse(_path(module).with_suffix(".py").read_text("utf-8"))) or "").partition("\n")[0]


def _path(module: str) -> Path:
    return PACKAGE.parent.joinpath(*module.split("."))
