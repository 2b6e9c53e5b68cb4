"""Module names of version 0.1, importable for one more version with a DeprecationWarning."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

ENERGY = {
    "energy.codecarbon": "energy.sources.codecarbon",
    "energy.find": "energy.sources.find",
    "energy.nvml": "energy.sources.nvml",
    "energy.nvml_session": "energy.sources.nvml_session",
    "energy.rapl": "energy.sources.rapl",
    "energy.reading": "energy.readings",
    "energy.source": "energy.sources.source",
    "energy.tick": "energy.sources.tick",
    "energy.visible": "energy.sources.visible",
}


class Moved(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finder of modules under their old names: the import gives the module of the new name itself, not a copy.

    Args:
        names: old name -> new name, or the names of all modules that the old one was parted into.
        functions: old name of a module that is a function now -> where the module's names are.
    """

    def __init__(self, names: Mapping[str, str | Sequence[str]], functions: Mapping[str, str] | None = None) -> None:
        self.names, self.functions = names, functions or {}

    def install(self) -> None:
        """Put this finder before all others, which would look for the old name in the folder of the new one."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of an old name; None for any other.

        Args:
            fullname: name of the module to import.
            path: of its package, unused.
            target: unused.

        Raises:
            ModuleNotFoundError: the module has become a function.
        """
        if fullname in self.functions:
            line = f"{fullname} is a function now, not a module: call {fullname}(…)"
            raise ModuleNotFoundError(f"{line}; the module is {self.functions[fullname]}", name=fullname)
        return importlib.util.spec_from_loader(fullname, self) if fullname in self.names else None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and put the module of the new name in the place of ``module``; one of many parts searches them all."""
        old = module.__name__
        new = self.names[old]
        parts = [new] if isinstance(new, str) else new
        line = f"{old} has moved to {' and '.join(parts)}: the old name goes with the next version"
        warnings.warn(line, DeprecationWarning, 2)
        modules = [importlib.import_module(part) for part in parts]
        if len(modules) == 1:
            sys.modules[old] = modules[0]
            return

        def look_up(name: str) -> Any:
            for part in modules:
                if name in vars(part):
                    return vars(part)[name]
            raise AttributeError(f"module {old!r} has no attribute {name!r}")

        module.__getattr__ = look_up  # type: ignore[method-assign]
