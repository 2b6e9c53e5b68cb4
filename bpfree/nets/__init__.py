"""Nets as lists of blocks, without training logic; one file each: the file's name is the net's."""

from collections.abc import Callable

from bpfree.config.resolve import Kind, modules_in
from bpfree.errors import unknown

NETS = Kind("net", "bpfree.nets", modules_in("bpfree.nets"))


def net(name: str) -> tuple[Callable[..., list], type]:
    """Builder and settings class of the net called ``name``.

    Raises:
        InputError: no such net (with the nearest names).
    """
    if name not in (choices := NETS.choices()):
        raise unknown("net", name, choices)
    module = NETS.load(name)
    return module.build, module.Settings
