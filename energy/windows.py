"""Windows of a meter: the edges that bound them, and what is gathered between two edges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from energy.readings import Reading, component, compose, merged
from energy.sources.source import Point, Source


@dataclass(frozen=True)
class Edge:
    """One moment, read once: time, CPU time and time since the boot in s, and a point of every source."""

    time_s: float
    cpu_s: float
    clock_s: float
    points: Mapping[str, Point]


@dataclass
class Window:
    """Joules, faults and times of every source, gathered under one name over one or more stretches of time."""

    within: str | None = None
    edges: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    intervals: list[list[float]] = field(default_factory=list)
    joules: dict[str, float] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def reading(self, sources: Sequence[Source], boot: str) -> Reading:
        """The reading of the window.

        Args:
            sources: of the meter.
            boot: identity of the boot that the intervals count from.
        """
        parts = {s.name: component(s, self.joules.get(s.name), self.faults.get(s.name, "")) for s in sources}
        length = self.seconds, self.cpu_seconds, self.edges
        return compose(*length, parts, self.within, boot=boot, intervals=self.intervals)

    def add(self, first: Edge, last: Edge) -> None:
        """Count the time between two edges, as one interval with the stretch before where the two touch."""
        self.seconds += last.time_s - first.time_s
        self.cpu_seconds += last.cpu_s - first.cpu_s
        self.intervals[-1:] = merged([*self.intervals[-1:], [first.clock_s, last.clock_s]])


@dataclass(eq=False)
class Stretch:
    """A window that is open, from its last edge on, with the faults seen since."""

    name: str
    start: Edge
    faults: dict[str, str] = field(default_factory=dict)

    def end(self, window: Window, end: Edge) -> None:
        """Add the time and the joules between the two edges to the window."""
        window.add(self.start, end)
        for name, last in end.points.items():
            first = self.start.points[name]
            fault = self.faults.get(name, "")
            if first.joules is None or last.joules is None:
                fault = fault or last.fault or first.fault
            elif not math.isfinite(last.joules - first.joules):
                fault = fault or "the value is no number"
            elif last.joules < first.joules:
                fault = fault or "the value went back within the window"
            else:
                window.joules[name] = window.joules.get(name, 0.0) + last.joules - first.joules
            if fault:
                window.faults.setdefault(name, fault)
