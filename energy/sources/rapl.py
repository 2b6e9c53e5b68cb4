"""RAPL: the energy counters of CPU packages and their DRAM, as Linux shows them under /sys/class/powercap.

Zones are told apart by their ``name`` file. Packages add up to ``cpu``, dram zones to ``ram``. ``core`` and ``uncore``
lie inside the package and ``psys`` overlaps it, so they are never added. Values are microjoules that wrap at
``max_energy_range_uj``; one wrap between two reads is made good, so each zone is read at least once a minute (262 kJ
last 11 minutes at 400 W). Some multi-die CPUs show one counter several times: such mirrors count once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from energy.labels import COUNTER
from energy.sources.source import Absent, Point, Source

ROOT = "/sys/class/powercap"
_BOUNDARY = {"cpu": "CPU packages: cores, caches, memory controller", "ram": "DRAM on the CPU packages' channels"}


class Zone:
    """One counter, unwrapped: ``joules`` since the zone was opened.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file holds no number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.label = _label(folder)
        self.device = self.label if folder.name.count(":") == 1 else f"{_label(folder.parent)} {self.label}"
        limit = folder / "max_energy_range_uj"
        self._range_uj = int(limit.read_text(encoding="utf-8")) if limit.exists() else 0
        self.raw_uj = self.raw()
        self.joules = 0.0

    def raw(self) -> int:
        """Read the counter, in microjoules."""
        return int((self.folder / "energy_uj").read_text(encoding="utf-8"))

    def advance(self) -> str:
        """Read, and add the step since the last read to ``joules``; returns a fault in words, or an empty text."""
        before_uj, self.raw_uj = self.raw_uj, self.raw()
        step_uj = self.raw_uj - before_uj
        if step_uj < 0 and self._range_uj >= before_uj:
            step_uj += self._range_uj
        if step_uj < 0:
            return f"{self.folder.name} ran backwards and states no range: the energy since then is not known"
        self.joules += step_uj / 1e6
        return ""


class RaplSource(Source):
    """The zones of one component. A zone that equals an earlier one at every read is its mirror and is not added."""

    method = COUNTER
    tick_ms = 1.0
    period_s = 60.0
    sensor = "resolution about 1 ms; the counter's own error is not stated by the vendor"

    def __init__(self, name: str, zones: list[Zone], fake: bool) -> None:
        super().__init__(name)
        self.source = "RAPL " + ", ".join(f"{zone.label} ({zone.folder.name})" for zone in zones)
        self.boundary, self.fake = _BOUNDARY[name], fake
        self.devices = tuple(zone.device for zone in zones)
        self._zones = zones
        self._mirrors: dict[int, int] = {}
        for k in range(1, len(zones)):
            twin = next((j for j in range(k) if self._equal(zones[j], zones[k])), None)
            if twin is not None:
                self._mirrors[k] = twin

    @staticmethod
    def _equal(first: Zone, second: Zone) -> bool:
        """True when two counters show one value; the first is read on both sides of the second, as it may move."""
        low_uj, mid_uj, high_uj = first.raw(), second.raw(), first.raw()
        return low_uj <= mid_uj <= high_uj or (high_uj < low_uj and (mid_uj >= low_uj or mid_uj <= high_uj))

    def read(self) -> Point:
        try:
            faults = [zone.advance() for zone in self._zones]
            self._mirrors = {k: j for k, j in self._mirrors.items() if self._equal(self._zones[j], self._zones[k])}
        except (OSError, ValueError) as error:
            return Point(None, f"a RAPL zone cannot be read any more: {error}")
        joules = sum(zone.joules for k, zone in enumerate(self._zones) if k not in self._mirrors)
        return Point(joules, "; ".join(filter(None, faults)))

    def detail(self) -> dict[str, Any]:
        return {
            "zones": [zone.folder.name for zone in self._zones],
            "mirrors": [self._zones[k].folder.name for k in self._mirrors],
        }


def sources(root: str | Path = ROOT) -> Iterator[Source]:
    """CPU and RAM under a powercap tree; an unreadable one comes as ``Absent`` with the reason and the fix.

    Args:
        root: folder that holds ``intel-rapl:0``; containers may mount it elsewhere.
    """
    root, fake = Path(root), not _on_sysfs(Path(root))
    tops = sorted(folder for folder in root.glob("intel-rapl:*") if folder.name.count(":") == 1)
    folders = tops + sorted(child for top in tops for child in top.glob("intel-rapl:*"))
    if not folders:
        why = "no RAPL here: no intel-rapl zones under the powercap folder (virtual machines rarely show them)"
        yield from (Absent(name, why) for name in ("cpu", "ram"))
        return
    zones: dict[str, list[Zone]] = {"cpu": [], "ram": []}
    faults: dict[str, str] = {}
    for folder in folders:
        component = _component(folder)
        if component is None:
            continue
        try:
            zones[component].append(Zone(folder))
        except PermissionError:
            faults[component] = (
                f"permission refused on {folder.name}/energy_uj (root only since CVE-2020-8694): an administrator can "
                f"allow it until the next boot with: chmod a+r {root}/intel-rapl:*/energy_uj"
                f" {root}/intel-rapl:*/intel-rapl:*/energy_uj"
            )
        except (OSError, ValueError) as error:
            faults[component] = f"RAPL zone {folder.name} cannot be read: {error}"
    for component, readable in zones.items():
        if component in faults or not readable:
            yield Absent(component, faults.get(component, f"RAPL here has no zone for {component}"))
        else:
            yield RaplSource(component, readable, fake)


def _label(folder: Path) -> str:
    return (folder / "name").read_text(encoding="utf-8").strip()


def _component(folder: Path) -> str | None:
    try:
        label = _label(folder)
    except OSError:
        return None
    return "cpu" if label.startswith("package") else "ram" if label == "dram" else None


def _on_sysfs(root: Path) -> bool:
    """True for the kernel's own folders (any mount of sysfs), False for a test double."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    mounts = {line.split()[4]: line.split(" - ")[1].split()[0] for line in lines}
    folder = root.resolve()
    return next((mounts[str(p)] for p in (folder, *folder.parents) if str(p) in mounts), "") == "sysfs"
