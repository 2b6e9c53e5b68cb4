"""Modules that the loop looks after under any rule: they change with the epochs, or have a range to keep to."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Annealed(Protocol):
    """A module that changes with the epochs."""

    def anneal(self, epochs: int) -> None:
        """Take the step of one epoch, out of ``epochs`` of the phase."""


@runtime_checkable
class Constrained(Protocol):
    """A module with parameters that must keep to a range."""

    def constrain(self) -> None:
        """Put parameters that an optimizer's step moved out of their range back into it."""
