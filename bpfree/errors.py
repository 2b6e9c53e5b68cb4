"""The errors a user can meet. The command line prints their message, one line, and no traceback."""

import difflib
from collections.abc import Iterable


class BpfreeError(Exception):
    """Base class; ``exit_code`` is what the command line returns."""

    exit_code = 2


class InputError(BpfreeError):
    """What was asked for cannot be done: says what is wrong and what would be right."""


class RunFailed(BpfreeError):
    """A run that had begun could not go on; its last good checkpoint is kept."""

    exit_code = 1


class Diverged(RunFailed):
    """A loss or gradient became NaN or infinite."""


def unknown(what: str, name: str, choices: Iterable[str]) -> InputError:
    """The error for a name that does not exist: nearest names first, else all of them."""
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(choices)}"
    return InputError(f"unknown {what} {name!r}: {hint}")
