"""Idle power: the machine's draw before a run begins. Shown beside results, never silently subtracted."""

import time
from typing import Any

from energy.meter import Meter

IDLE_S = 5.0


def idle_power(meter: Meter, seconds: float = IDLE_S, name: str = "idle") -> dict[str, Any]:
    """Mean power while this process sleeps.

    Measure it in the process, with the clocks and the device context of the runs that it is shown beside.

    Args:
        meter: an open meter.
        seconds: length of the sleep.
        name: of the meter's window that holds the reading itself.

    Returns:
        JSON: ``seconds``, ``total_w`` with ``method``, and ``components``; watts are None where the energy is
        unavailable.
    """
    with meter.window(name):
        time.sleep(seconds)
    reading = meter.readings()[name]
    return {
        "seconds": reading["seconds"],
        "total_w": _watts(reading["total_j"], reading["seconds"]),
        "method": reading["method"],
        "components": {
            name: {"power_w": _watts(part["energy_j"], reading["seconds"]), "method": part["method"]}
            for name, part in reading["components"].items()
        },
    }


def _watts(energy_j: float | None, seconds: float) -> float | None:
    return None if energy_j is None else energy_j / seconds
