"""Tick of an energy counter, and update period of a power reading: the time between two changes, measured."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from energy.labels import EnergyError

PROBE_S = 1.5  # a value that stands still for so long counts as frozen
PROBE_CHANGES = 6
_STEP_S = 0.0005


def ticks(readers: Sequence[Callable[[], float]], timeout_s: float = PROBE_S) -> Iterator[float | str]:
    """Measure the ticks of several values at the same time.

    Args:
        readers: return the values; an EnergyError ends the watch of one.
        timeout_s: longest time for all, in s.

    Yields:
        For each reader the median time between two changes of its value in s, with the step of the watch, by which it
        may be too short; or the reason for which it has none.
    """
    changes: list[list[float]] = [[] for _ in readers]
    last: list[float | None] = [None] * len(readers)
    faults: dict[int, str] = {}
    end_s = time.perf_counter() + timeout_s
    while time.perf_counter() < end_s:
        open_ = [k for k in range(len(readers)) if k not in faults and len(changes[k]) <= PROBE_CHANGES]
        if not open_:
            break
        for k in open_:
            try:
                value = readers[k]()
            except EnergyError as error:
                faults[k] = str(error)
                continue
            if last[k] is not None and value != last[k]:
                changes[k].append(time.perf_counter())
            last[k] = value
        time.sleep(_STEP_S)
    for k, times in enumerate(changes):
        if k in faults:
            yield faults[k]
        elif len(times) < 2:
            yield f"the value moved {len(times)} times in {timeout_s:.1f} s: frozen"
        else:
            yield statistics.median(b - a for a, b in itertools.pairwise(times)) + _STEP_S
