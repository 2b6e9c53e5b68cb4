"""An energy meter of your own: a laptop's battery, which counts all that the machine draws from it.

    bpfree train --algo mono-forward --data mnist --meter examples/your_own_meter.py:Battery

Unplug the machine first. A meter is a subclass of `energy.Source`: it names one component and where its joules come
from, and `read` gives the joules since any fixed moment. The record says which file metered the run, with its SHA-256.
"""

import time
from pathlib import Path

from energy import Meter, Point, Source

MICROWATTHOUR_J = 3600e-6


class Battery(Source):
    """The charge that has left the battery."""

    method = "measured:counter"
    source = "/sys/class/power_supply energy_now"
    boundary = "the whole machine, from its battery"
    tick_ms = 30e3  # many batteries move once in half a minute: shorter windows are not resolved
    folder = Path("/sys/class/power_supply/BAT0")

    def __init__(self) -> None:
        super().__init__("battery")

    def read(self) -> Point:
        try:
            if (self.folder / "status").read_text(encoding="utf-8").strip() != "Discharging":
                return Point(None, "the battery does not discharge: unplug the machine")
            return Point(-int((self.folder / "energy_now").read_text(encoding="utf-8")) * MICROWATTHOUR_J)
        except (OSError, ValueError) as error:
            return Point(None, f"cannot read the battery: {error}")


def main() -> None:
    """Meter a second of counting, and print the joules or the reason why there are none."""
    with Meter(sources=[Battery()]) as meter, meter.window("counting"):
        end_s = time.perf_counter() + 1.0
        while time.perf_counter() < end_s:
            pass
    part = meter.readings()["counting"]["components"]["battery"]
    print(f"battery: {part['energy_j']} J, {part['method']} {part['reason']}")


if __name__ == "__main__":
    main()
