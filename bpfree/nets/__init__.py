"""Nets as lists of blocks, without training logic; one file each: the file's name is the net's.

A net of one's own is ``FILE.py:function``, or an entry point in the group ``bpfree.nets``. The function gets the `Spec`
of the data and returns the blocks, a list of modules or an ``nn.Sequential``; where it has parameters of these names it
also gets ``settings``, an instance of the class ``Settings`` of its file, and ``hidden_only``. ``FILE.py`` alone stands
for its function ``build``.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from bpfree.config.resolve import Kind, call, modules_in
from bpfree.config.settings import settings
from bpfree.config.user_files import file_and_object
from bpfree.errors import InputError, unknown

NETS = Kind("net", "bpfree.nets", modules_in("bpfree.nets"), functions="a list of modules")


@settings
class NoSettings:
    """Settings of a net that has none."""


def net(name: str) -> tuple[Callable[..., list], type]:
    """Builder and settings class of the net called ``name``.

    Raises:
        InputError: no such net (with the nearest names), or a file without one.
    """
    if not file_and_object(name) and name not in (choices := NETS.choices()):
        raise unknown("net", name, choices)
    loaded = NETS.load(name)
    if name in NETS.builtin:
        return loaded.build, loaded.Settings
    build = getattr(loaded, "build", None) if isinstance(loaded, ModuleType) else loaded
    if not callable(build):
        raise InputError(f"net {name} is no function: write FILE.py:function, which gets the spec and returns blocks")
    return _builder(build, name)


def _builder(build: Callable[..., Any], name: str) -> tuple[Callable[..., list], type]:
    """Builder and settings class of a user's own function."""
    takes = {"settings", "hidden_only"} & set(inspect.signature(build).parameters)
    cls: Any = NoSettings
    if "settings" in takes:
        cls = getattr(sys.modules[build.__module__], "Settings", None)
        if cls is None:
            raise InputError(
                f"net {name} takes settings: declare them in its file, @bpfree.config.settings.settings class Settings"
            )

    @functools.wraps(build)
    def built(spec: Any, **offered: Any) -> list:
        from torch import nn  # here, as the names of nets are listed without torch

        blocks = call(build, f"net {name}", spec, **{key: offered[key] for key in takes})
        several = isinstance(blocks, list | tuple | nn.Sequential | nn.ModuleList)
        if not several or not blocks or not all(isinstance(block, nn.Module) for block in blocks):
            kind = type(blocks).__name__
            raise InputError(f"net {name} returns a {kind}: it must return a list of modules or an nn.Sequential")
        return blocks

    return built, cls
