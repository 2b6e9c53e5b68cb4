"""Idle power: what the machine draws while nothing of ours runs. Shown beside results, never silently subtracted."""

import time
from typing import Any

from energy.meter import Meter

IDLE_S = 5.0


def idle_power(meter: Meter, seconds: float = IDLE_S, name: str = "idle") -> dict[str, Any]:
    """Mean power over ``seconds`` of sleep, as JSON: ``seconds``, ``total_w`` with ``method``, and ``components``.

    Measure it in the process, with the clocks and the device context of the runs that it is shown beside. The reading
    itself is the meter's window ``name``. Watts are None where the energy is unavailable.
    """
    with meter.window(name):
        time.sleep(seconds)
    reading = meter.readings()[name]
    return {
        "seconds": reading["seconds"],
        "total_w": _watts(reading["total_j"], reading["seconds"]),
        "method": reading["method"],
        "components": {
            part: {"power_w": _watts(found["energy_j"], reading["seconds"]), "method": found["method"]}
            for part, found in reading["components"].items()
        },
    }


def _watts(energy_j: float | None, seconds: float) -> float | None:
    return None if energy_j is None else energy_j / seconds
