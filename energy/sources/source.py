"""Source: one component's joules behind one small interface, the same for counters, power sensors and models."""

from dataclasses import dataclass
from typing import Any

from energy.labels import UNAVAILABLE


@dataclass(frozen=True)
class Point:
    """One reading: joules since any fixed moment (None: no value), and a fault since the reading before, in words."""

    joules: float | None
    fault: str = ""


class Source:
    """A component that can be read. Energy is the difference of two points with no fault between them.

    Attributes:
        name: the component, such as ``gpu0``, ``cpu`` or ``ram``.
        method: label of its energy, one of `energy.METHODS`.
        source: the sensor or model, in words.
        boundary: parts of the machine that the joules include.
        sensor: the sensor's own error, as far as it is known.
        reason: for having no value.
        tick_ms: time between two changes of the value; 0: it is continuous; None: unknown, so that no bound of a
            window's error is known either, and nothing is concluded from a difference.
        highest_w: highest power in W that the component can draw, for the bound of a window's error; None: unknown.
        period_s: longest time between two reads; None: edges suffice.
        start_s: seconds that its detection took, where they are many.
        contains: components whose energy is part of this one's, such as ``("cpu", "gpu", "ram")`` of a wall plug.
        devices: identities of the hardware that is read, such as the UUID of a board, or the name of a package.
        fake: True for a test double.
        refused: better sources that were tried, each with the reason against it.
    """

    method: str = UNAVAILABLE
    source: str = ""
    boundary: str = ""
    sensor: str = ""
    reason: str = ""
    tick_ms: float | None = None
    highest_w: float | None = None
    period_s: float | None = None
    start_s: float | None = None
    contains: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    fake: bool = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.refused: list[str] = []

    def read(self) -> Point:
        """Read the joules now. Never raises: a failed read is a fault in words."""
        raise NotImplementedError

    def watch(self) -> None:
        """Note heat, throttling and the like, which colour the energy; called between edges, at ``period_s``."""

    def detail(self) -> dict[str, Any]:
        """Further JSON for ``Meter.describe``."""
        return {}

    def close(self) -> None:
        """Release the hardware."""


class Absent(Source):
    """Null object: a component that nothing can read here, with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name)
        self.reason = reason

    def read(self) -> Point:
        return Point(None, self.reason)
