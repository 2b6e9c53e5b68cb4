"""What a net works with that is not part of it, such as a physical system on a bench.

It lives on its own: it changes with time, it counts what is asked of it, and going back to the best epoch does not
bring its past back. So the loop tells it of every training batch and saves its state beside the net's, but never
restores it with a best state; and the record says what was asked of it.
"""

from typing import Any, Protocol

from torch import nn


class Outside(Protocol):
    """A module that works with such a thing has it as attribute ``outside``; several modules may share one.

    Attributes:
        simulated: whether it is only computed: then the joules of this machine say nothing about it.
        learning: whether a training batch is at hand: the loop says so.
    """

    simulated: bool
    learning: bool

    def tick(self) -> None:
        """One training batch has passed."""

    def state_dict(self) -> dict[str, Any]:
        """All that decides what it does next, and what it has counted."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def report(self) -> dict[str, Any]:
        """What the record says about it: plain JSON."""


def outside(net: nn.Module) -> list[Outside]:
    """Whatever the modules of ``net`` work with, each once."""
    found = {id(m.outside): m.outside for m in net.modules() if hasattr(m, "outside")}
    return list(found.values())  # type: ignore[arg-type]
