"""One RAPL counter: its value made continuous over its wraps, and the steps that no package can have made.

The value counts microjoules and begins again at ``max_energy_range_uj``. A step back is therefore a wrap when the
energy that it means is one that the zone can have drawn since the read before; else the counter was reset or is wrong,
and nothing is counted. So it is when the time without a read was long enough to hide a whole turn.
"""

import time
from pathlib import Path

from energy.sources.plausible import largest_j

TICK_S = 0.001
HIGHEST_W = 1000.0  # of a zone that states no power; the largest packages of 2025 draw 500 W
SMALLEST_RANGE_J = 65_536.0  # of a zone that states no range: 32 bits of 15.3 uJ, the finest unit there is


class Zone:
    """One counter, read in steps.

    Attributes:
        folder: of its files.
        label: content of its ``name`` file.
        device: name that tells it from the other zones of the machine.
        highest_w: highest power that it can draw.
        range_j: energy of one turn of the counter.

    Args:
        folder: such as ``/sys/class/powercap/intel-rapl:0``.

    Raises:
        OSError: the counter cannot be read.
        ValueError: it holds no number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.label = label(folder)
        self.device = self.label if folder.name.count(":") == 1 else f"{label(folder.parent)} {self.label}"
        self._range_uj = _stated(folder / "max_energy_range_uj")
        self.range_j = self._range_uj / 1e6 or SMALLEST_RANGE_J
        self.highest_w = _highest_w(folder)
        self._before_s = time.perf_counter()
        self._raw_uj = self.raw()

    def raw(self) -> int:
        """Read the counter, in microjoules."""
        return int((self.folder / "energy_uj").read_text(encoding="utf-8"))

    def step(self) -> tuple[float, str]:
        """Joules since the read before, and a fault in words; with a fault, no joules."""
        before_s, before_uj = self._before_s, self._raw_uj
        now_s, raw_uj = time.perf_counter(), self.raw()
        seconds = time.perf_counter() - before_s
        self._before_s, self._raw_uj = now_s, raw_uj
        most_j = largest_j(self.highest_w, seconds, TICK_S)
        if most_j >= self.range_j:
            return 0.0, f"{self.folder.name} was not read for {seconds:.0f} s: the counter may have wrapped unseen"
        step_uj = raw_uj - before_uj
        if step_uj < 0:
            if not self._range_uj:
                return 0.0, f"{self.folder.name} ran backwards and states no range: the energy since then is not known"
            step_uj += self._range_uj
        if not 0 <= step_uj / 1e6 <= most_j:
            moved = f"from {before_uj / 1e6:.6f} to {raw_uj / 1e6:.6f} J in {seconds:.3g} s"
            return 0.0, f"{self.folder.name} went {moved}: it was reset or is wrong, as no package draws that much"
        return step_uj / 1e6, ""

    def agrees(self, other: "Zone") -> bool:
        """True when another counter shows this one's value, but for two ticks.

        This one is read on both sides of the other, as it may move meanwhile.
        """
        low_uj, mid_uj, high_uj = self.raw(), other.raw(), self.raw()
        turn_uj = round(1e6 * self.range_j)
        slack_uj = 2e6 * TICK_S * self.highest_w
        ahead_uj = (mid_uj - low_uj) % turn_uj
        return ahead_uj <= (high_uj - low_uj) % turn_uj + slack_uj or turn_uj - ahead_uj <= slack_uj


def label(folder: Path) -> str:
    """Content of the zone's ``name`` file."""
    return (folder / "name").read_text(encoding="utf-8").strip()


def _highest_w(folder: Path) -> float:
    """Highest power that the zone's constraints state.

    The limits that are set count beside the maxima, since many boards set one above the processor's nominal maximum;
    one that is set to no limit at all says nothing.
    """
    maxima = [_stated(path) / 1e6 for path in folder.glob("constraint_*_max_power_uw")]
    limits = [min(_stated(path) / 1e6, HIGHEST_W) for path in folder.glob("constraint_*_power_limit_uw")]
    return max([*maxima, *limits], default=0.0) or HIGHEST_W


def _stated(path: Path) -> int:
    """A positive number in a file; 0 where it states none."""
    try:
        return max(0, int(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return 0
