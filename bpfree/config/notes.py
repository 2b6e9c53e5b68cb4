"""Notes: plain lines about what was converted, cut, left out or assumed, for the user to read."""

import logging

_LOGGER = logging.getLogger("bpfree")


def tell(line: str) -> None:
    """Tell the user one line: Python's logging shows it on standard error unless the program says otherwise.

    Args:
        line: a plain sentence without its full stop.
    """
    _LOGGER.warning("%s", line)
