"""Source: one component's joules, behind one small interface, so that the meter never asks what it reads."""

from dataclasses import dataclass
from typing import Any

from energy.labels import UNAVAILABLE


@dataclass(frozen=True)
class Point:
    """One reading: joules since any fixed moment (None: no value), and what went wrong since the reading before."""

    joules: float | None
    fault: str = ""


class Source:
    """A component that can be read. Energy is the difference of two points with no fault between them.

    Attributes: ``name`` the component ("gpu0", "cpu", "ram"); ``method`` its label; ``source`` what is read;
    ``boundary`` what the joules include; ``sensor`` what is known of the sensor's own error; ``tick_ms`` how often the
    value moves (None: continuous or unknown); ``period_s`` how often it must be read between edges (None: never);
    ``start_s`` what finding it has cost in s, where that is much;
    ``reason`` why it has no value; ``fake`` a test double; ``refused`` better ways that were tried, and why not.
    """

    method: str = UNAVAILABLE
    source: str = ""
    boundary: str = ""
    sensor: str = ""
    reason: str = ""
    tick_ms: float | None = None
    period_s: float | None = None
    start_s: float | None = None
    fake: bool = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.refused: list[str] = []

    def read(self) -> Point:
        """The joules now. Never raises: a failed read is a fault in words."""
        raise NotImplementedError

    def watch(self) -> None:
        """Look at what colours the energy (heat, throttling); called between edges, at ``period_s``."""

    def detail(self) -> dict[str, Any]:
        """Further JSON for ``Meter.describe``."""
        return {}

    def close(self) -> None:
        """Give back what the source holds."""


class Absent(Source):
    """Null object: a component that nothing can read here, with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name)
        self.reason = reason

    def read(self) -> Point:
        return Point(None, self.reason)
