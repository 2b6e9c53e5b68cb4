"""Doubles for the meter: a source that follows a script, and a RAPL tree."""

from collections.abc import Sequence
from pathlib import Path

from energy.labels import COUNTER
from energy.sources.source import Point, Source


class Scripted(Source):
    """A source that returns the given joules (or points) one after the other, the last one for ever."""

    def __init__(self, name: str, script: Sequence[float | Point], method: str = COUNTER, tick_ms: float | None = None):
        super().__init__(name)
        self.method, self.tick_ms, self.source, self.boundary, self.sensor = method, tick_ms, "a script", "test", "none"
        self._script = [step if isinstance(step, Point) else Point(step) for step in script]
        self.reads = 0

    def read(self) -> Point:
        point = self._script[min(self.reads, len(self._script) - 1)]
        self.reads += 1
        return point


class Tree:
    """A powercap tree that a test can move: tree.zone("0", "package-0"), tree.add("0", joules)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        parts = key.split(":")
        names = ["intel-rapl:" + ":".join(parts[: n + 1]) for n in range(len(parts))]
        return self.root.joinpath(*names)

    def zone(self, key: str, name: str, energy_uj: int = 1_000_000, range_uj: int | None = 262_143_328_850) -> Path:
        folder = self.folder(key)
        folder.mkdir(parents=True)
        (folder / "name").write_text(name + "\n")
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
        if range_uj is not None:
            (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        return folder

    def set(self, key: str, energy_uj: int) -> None:
        (self.folder(key) / "energy_uj").write_text(f"{energy_uj}\n")

    def add(self, key: str, joules: float) -> None:
        self.set(key, int((self.folder(key) / "energy_uj").read_text()) + round(1e6 * joules))
