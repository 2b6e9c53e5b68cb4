"""Errors that a user can meet, all of them. The command line prints their message on one line, without a traceback.

=============  ====  ===================================================================================
class          exit  cause
=============  ====  ===================================================================================
`InputError`   2     an argument, setting, file or data set that does not fit, mostly before a run begins
`RunFailed`    1     a run that had begun cannot go on
`Diverged`     1     a loss, gradient or prediction became NaN or infinite
`EnergyError`  2     an energy meter that is not there, or misused (of the package ``energy``, which stands alone)
=============  ====  ===================================================================================
"""

import difflib
from collections.abc import Iterable

from energy.labels import EnergyError

__all__ = ["BpfreeError", "Diverged", "EnergyError", "InputError", "RunFailed", "exit_code", "unknown"]


class BpfreeError(Exception):
    """Base class; ``exit_code`` is what the command line returns."""

    exit_code = 2


class InputError(BpfreeError):
    """A request that cannot be met: the message says what is wrong and what would be right."""


class RunFailed(BpfreeError):
    """A run that had begun could not go on; its last good checkpoint is kept."""

    exit_code = 1


class Diverged(RunFailed):
    """A loss or gradient became NaN or infinite."""


def exit_code(error: BpfreeError | EnergyError) -> int:
    """Exit code of the command line for an error."""
    return error.exit_code if isinstance(error, BpfreeError) else InputError.exit_code


def unknown(noun: str, name: str, choices: Iterable[str]) -> InputError:
    """The error for a name that does not exist.

    Args:
        noun: kind of thing, such as ``rule``.
        name: the name that was given.
        choices: the names that exist: the message has the nearest of them, or all where none is near.
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(choices)}"
    return InputError(f"unknown {noun} {name!r}: {hint}")
