"""CodeCarbon's model of CPU and RAM power, for machines without counters. An estimate, labelled so.

CodeCarbon 3 supplies the hardware probe and the watts, this module the clock and the integral. Its tracker is built
offline with a forced intensity, asked for its hardware and never started: no thread, no file, no connection. Its own
task mechanism is not used because it books a near-zero first sample and sporadic zeros (CodeCarbon issue 851).

CPU, machine mode: P = TDP (0.1 + 0.9 load^3), load of the whole machine; unknown CPU: 4 W a thread. The cube makes P
depend on how long the load is averaged, so it is always averaged over a second or more: an edge that comes sooner
holds the watts of the last second. RAM: 5 W a guessed DIMM, independent of use.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

from energy.labels import CONSTANT, MODELLED
from energy.sources.source import Absent, Point, Source

LOAD_PERIOD_S = 1.0
FIRST_LOAD_S = 0.1
_INTENSITY_G_PER_KWH = 475.0  # world mean; forced so that nothing is looked up, and never used: see energy.carbon


class LoadModel(Source):
    """CPU energy as a function of the machine's load.

    Args:
        power: object whose ``total_power().W`` is the mean power in W since its last call.
        source: description for the reading.
        clock: returns seconds.
        sleep: waits for so many seconds.
    """

    method = MODELLED
    boundary = "CPU package of the whole machine"
    sensor = "a model: its error is unknown; up to 40 % against external meters in arXiv 2509.22092"
    period_s = LOAD_PERIOD_S

    def __init__(self, power: Any, source: str, clock: Any = time.perf_counter, sleep: Any = time.sleep) -> None:
        super().__init__("cpu")
        self.source = source
        self._power, self._clock = power, clock
        power.start()
        sleep(FIRST_LOAD_S)
        self._joules, self._power_w = 0.0, power.total_power().W
        self._read_s = self._sampled_s = clock()

    def read(self) -> Point:
        now_s = self._clock()
        if now_s - self._sampled_s >= LOAD_PERIOD_S:
            self._power_w, self._sampled_s = self._power.total_power().W, now_s
        self._joules += self._power_w * (now_s - self._read_s)
        self._read_s = now_s
        return Point(self._joules)

    def detail(self) -> dict[str, Any]:
        return {"load_period_ms": 1e3 * LOAD_PERIOD_S}


class FixedPower(Source):
    """Fixed watts times time.

    Args:
        name: of the component.
        power_w: the watts.
        source: description for the reading.
        boundary: parts of the machine that the watts include.
        clock: returns seconds.
    """

    method = CONSTANT
    sensor = "a constant, independent of use: an order of magnitude"

    def __init__(self, name: str, power_w: float, source: str, boundary: str, clock: Any = time.perf_counter) -> None:
        super().__init__(name)
        self.source, self.boundary, self._power_w, self._clock = source, boundary, power_w, clock

    def read(self) -> Point:
        return Point(self._power_w * self._clock())

    def detail(self) -> dict[str, Any]:
        return {"power_w": self._power_w}


def sources() -> Iterator[Source]:
    """CPU and RAM as CodeCarbon models them. The first call in a process probes the hardware (about 1.4 s)."""
    began_s = time.perf_counter()
    try:
        version, hardware = _probe()
    except ImportError as error:
        yield from (Absent(name, f"CodeCarbon cannot be imported: {error}") for name in ("cpu", "ram"))
        return
    except Exception as error:  # its errors have no common class, and a model must never stop a run
        reason = f"CodeCarbon's hardware probe failed: {type(error).__name__}: {error}"
        yield from (Absent(name, reason) for name in ("cpu", "ram"))
        return
    by_kind = {type(item).__name__: item for item in hardware}
    for source in (_cpu(by_kind.get("CPU"), version), _ram(by_kind.get("RAM"), version)):
        source.start_s = time.perf_counter() - began_s
        yield source


def _probe() -> tuple[str, list[Any]]:
    """CodeCarbon's version and its private list of hardware objects (3.3.2)."""
    import codecarbon

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tracker = codecarbon.OfflineEmissionsTracker(
        force_carbon_intensity_g_co2e_kwh=_INTENSITY_G_PER_KWH,
        tracking_mode="machine",
        force_cpu_power=None,
        force_ram_power=None,
        force_mode_cpu_load=False,
        gpu_ids=None,
        pue=1.0,
        wue=0.0,
        output_methods=[],
        allow_multiple_runs=True,
        log_level="critical",
    )
    tracker.get_detected_hardware()
    return codecarbon.__version__, list(tracker._hardware)


def _cpu(cpu: Any, version: str) -> Source:
    mode = getattr(cpu, "_mode", None)
    name = f"CodeCarbon {version} {mode}, {getattr(cpu, '_tdp', '?')} W TDP ({getattr(cpu, '_model', None)})"
    if mode == "cpu_load":
        return LoadModel(cpu, name)
    if mode == "constant":
        return FixedPower("cpu", cpu.total_power().W, name, LoadModel.boundary)
    if mode is None:
        return Absent("cpu", f"CodeCarbon {version} found no CPU that it can model")
    return Absent(
        "cpu", f"CodeCarbon {version} would read {mode} here, which is no model: use the backend auto or rapl"
    )


def _ram(ram: Any, version: str) -> Source:
    if ram is None:
        return Absent("ram", f"CodeCarbon {version} found no RAM that it can model")
    return FixedPower("ram", ram.total_power().W, f"CodeCarbon {version}: watts a DIMM", "RAM of the whole machine")
