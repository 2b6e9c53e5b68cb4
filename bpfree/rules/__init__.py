"""Learning rules, one file each: the file's name is the rule's."""

from typing import TYPE_CHECKING

from bpfree.config.resolve import Kind, modules_in

if TYPE_CHECKING:
    from bpfree.training.trainer import Trainer

RULES = Kind("rule", "bpfree.rules", modules_in("bpfree.rules", deep=True), base="bpfree:Trainer")


def rule(name: str) -> type["Trainer"]:
    """The rule called ``name``: built in, another package's, or ``FILE.py:Class``.

    Raises:
        InputError: no such rule (with the nearest names), or a file that does not hold one.
    """
    return RULES.load(name)
