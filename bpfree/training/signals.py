"""Ctrl-C and SIGTERM as a request to end cleanly."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Make the first Ctrl-C or SIGTERM a request to end after the current batch; a second one ends the run at once.

    Outside of the main thread, which alone receives signals, nothing changes.

    Args:
        stop: called with the reason, as the record states it.
    """

    def handle(number: int, frame: Any) -> None:
        signal.signal(number, previous[signal.Signals(number)])
        stop(f"stopped by {signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
