"""RAPL: the energy counters of CPU packages and their DRAM, as Linux shows them under /sys/class/powercap.

Zones are told apart by their ``name`` file. Packages add up to ``cpu``, dram zones to ``ram``. ``core`` and ``uncore``
lie inside the package and ``psys`` overlaps it, so they are never added. A counter turns every few minutes, so each
zone is read at least once a minute. Some multi-die CPUs show one counter several times: whether two zones are one
counter is decided by several reads at the start, and such mirrors count once. Two that part later void every window in
which they do.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from energy.labels import COUNTER, EnergyError
from energy.sources.plausible import MARGIN
from energy.sources.rapl_zone import TICK_S, Zone, label
from energy.sources.source import Absent, Point, Source

ROOT = "/sys/class/powercap"
LONGEST_PERIOD_S = 60.0
VOTES = 9
_BOUNDARY = {"cpu": "CPU packages: cores, caches, memory controller", "ram": "DRAM on the CPU packages' channels"}


class RaplSource(Source):
    """The zones of one component.

    Args:
        name: of the component.
        zones: its counters.
        mirrors: zones that show the counter of another one, which is theirs here; they are watched and not added.
        fake: True for a test double.
    """

    method = COUNTER
    tick_ms = 1e3 * TICK_S
    sensor = "resolution about 1 ms; the counter's own error is not stated by the vendor"

    def __init__(self, name: str, zones: Sequence[Zone], mirrors: Mapping[Zone, Zone], fake: bool) -> None:
        super().__init__(name)
        self.source = "RAPL " + ", ".join(f"{zone.label} ({zone.folder.name})" for zone in zones)
        self.boundary, self.fake = _BOUNDARY[name], fake
        self.devices = tuple(zone.device for zone in zones)
        self._mirrors, self._counted = mirrors, [zone for zone in zones if zone not in mirrors]
        self._joules = 0.0
        self.highest_w = sum(zone.highest_w for zone in self._counted)
        # a third of the time in which a zone can turn once: a read that comes late must not miss a turn
        self.period_s = min(LONGEST_PERIOD_S, *(z.range_j / (3 * MARGIN * z.highest_w) for z in self._counted))

    def read(self) -> Point:
        try:
            steps = [zone.step() for zone in self._counted]
            parted = [(twin, zone) for zone, twin in self._mirrors.items() if not _agree(twin, zone)]
        except (OSError, ValueError) as error:
            return Point(None, f"a RAPL zone cannot be read any more: {error}")
        faults = [fault for _, fault in steps if fault]
        faults += [f"{twin.folder.name} and {zone.folder.name} no longer show one counter" for twin, zone in parted]
        if not faults:
            self._joules += sum(joules for joules, _ in steps)
        return Point(self._joules, "; ".join(faults))

    def detail(self) -> dict[str, Any]:
        return {
            "zones": [zone.folder.name for zone in (*self._counted, *self._mirrors)],
            "mirrors": [zone.folder.name for zone in self._mirrors],
        }


def _agree(first: Zone, second: Zone) -> bool:
    """True when two zones show one counter: at once, else in most of several reads."""
    return first.agrees(second) or 2 * sum(first.agrees(second) for _ in range(VOTES)) > VOTES


def _mirrors(zones: Sequence[Zone]) -> dict[Zone, Zone]:
    """Zones that show the counter of an earlier one, with that one.

    Raises:
        EnergyError: two zones agree in some reads and not in most.
    """
    mirrors: dict[Zone, Zone] = {}
    for first, second in itertools.combinations(zones, 2):
        if first in mirrors or second in mirrors:
            continue
        agreed = 0
        for _ in range(VOTES):
            agreed += first.agrees(second)
            time.sleep(TICK_S)
        if 2 * agreed > VOTES:
            mirrors[second] = first
        elif agreed:
            pair = f"{first.folder.name} and {second.folder.name}"
            raise EnergyError(f"{pair} agree in {agreed} of {VOTES} reads: they may be one counter or two")
    return mirrors


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
        try:
            mirrors = _mirrors(readable)
        except (EnergyError, OSError, ValueError) as error:
            faults.setdefault(component, f"RAPL: {error}")
        if component in faults or not readable:
            yield Absent(component, faults.get(component, f"RAPL here has no zone for {component}"))
        else:
            yield RaplSource(component, readable, mirrors, fake)


def _component(folder: Path) -> str | None:
    try:
        name = label(folder)
    except (OSError, ValueError):
        return None
    return "cpu" if name.startswith("package") else "ram" if name == "dram" else None


def _on_sysfs(root: Path) -> bool:
    """True for the kernel's own folders (any mount of sysfs), False for a test double."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    mounts = {line.split()[4]: line.split(" - ")[1].split()[0] for line in lines}
    folder = root.resolve()
    return next((mounts[str(p)] for p in (folder, *folder.parents) if str(p) in mounts), "") == "sysfs"
