"""External systems: a net works with them and they are no part of it, such as a physical system on a bench.

Such a system changes with time and counts its measurements, and going back to the best epoch does not bring its past
back. So the loop tells it of every training batch and saves its state beside the net's, but never restores it with a
best state; and the record holds its report.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn


class External(Protocol):
    """A system that can only be measured.

    Attributes:
        simulated: it is only computed: then the joules of this machine say nothing about it.
        learning: a training batch is at hand; set by the loop.
    """

    simulated: bool
    learning: bool

    def tick(self) -> None:
        """Note that one training batch has passed."""

    def state_dict(self) -> dict[str, Any]:
        """All that decides its further behaviour, and its counts."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def report(self) -> dict[str, Any]:
        """Its part of the record: plain JSON."""
        ...


@runtime_checkable
class UsesExternal(Protocol):
    """A module that works with an external system; several modules may share one."""

    external: External


def external_systems(net: nn.Module) -> list[External]:
    """The external systems of all modules of ``net``, each once."""
    return list({id(m.external): m.external for m in net.modules() if isinstance(m, UsesExternal)}.values())


@contextlib.contextmanager
def learning(systems: Sequence[External]) -> Iterator[None]:
    """One training batch for ``systems``: it begins, and however it ends, it has passed."""
    for system in systems:
        system.learning = True
    try:
        yield
    finally:
        for system in systems:
            system.learning = False
            system.tick()
