"""Doubles for the meter: a source that follows a script, a RAPL tree, the module pynvml, and the clock itself."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from energy.labels import COUNTER
from energy.sources.source import Point, Source


class Scripted(Source):
    """A source that returns the given joules (or points) one after the other, the last one for ever."""

    def __init__(
        self,
        name: str,
        script: Sequence[float | Point],
        method: str = COUNTER,
        tick_ms: float | None = None,
        highest_w: float | None = None,
    ) -> None:
        super().__init__(name)
        self.highest_w = highest_w
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

    def constraint(self, key: str, watts: float, number: int = 0, kind: str = "max_power") -> None:
        path = self.folder(key) / f"constraint_{number}_{kind}_uw"
        path.write_text(f"{round(1e6 * watts)}\n", encoding="utf-8")

    def set_range(self, key: str, range_uj: int) -> None:
        (self.folder(key) / "max_energy_range_uj").write_text(f"{range_uj}\n", encoding="utf-8")

    def set(self, key: str, energy_uj: int) -> None:
        (self.folder(key) / "energy_uj").write_text(f"{energy_uj}\n")

    def add(self, key: str, joules: float) -> None:
        self.set(key, int((self.folder(key) / "energy_uj").read_text()) + round(1e6 * joules))


class SimulatedTime:
    """A clock that a test moves: ``time``'s own clocks and ``sleep`` follow it, and so does all that reads them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.suspended_s = 1000.0, 0.0
        for name in ("perf_counter", "monotonic"):
            monkeypatch.setattr(time, name, lambda: self.now_s)
        monkeypatch.setattr(time, "sleep", self.pass_by)
        monkeypatch.setattr(time, "clock_gettime", self._clock)

    def _clock(self, which: int) -> float:
        return self.now_s + (self.suspended_s if which == time.CLOCK_BOOTTIME else 0.0)

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds


class Refusal(Exception):
    """NVMLError of the double below."""

    def __init__(self, value: int = 3) -> None:
        super().__init__(f"code {value}")
        self.value = value


class NVMLLibraryMismatchError(Exception):
    """Error of the module pynvml for a call that the library lacks; not an NVMLError."""


def hundred_watts(now_s: float) -> float:
    return 100.0 * now_s


@dataclass
class FakeBoard:
    """One board of the double below; ``answers`` holds further values, and exceptions to be raised, by call.

    ``energy_j`` gives the true energy at a time of ``time.monotonic``; the counter shows it at the last tick.
    """

    uuid: str = "GPU-0"
    name: str | bytes = "Board"
    energy_j: Callable[[float], float] = hundred_watts
    tick_s: float = 0.001
    answers: dict[str, Any] = field(default_factory=dict)

    def counter_mj(self) -> int:
        return int(1e3 * self.energy_j(math.floor(time.monotonic() / self.tick_s) * self.tick_s))


class FakeNvml:
    """A double for the module pynvml: some boards, and a refusal for every call that is not asked for."""

    NVMLError = Refusal

    def __init__(self, *boards: FakeBoard, **answers: Any) -> None:
        self.boards, self.answers = boards or (FakeBoard(),), answers

    def __getattr__(self, call: str) -> Callable[..., Any]:
        if not call.startswith("nvml"):
            raise AttributeError(call)
        return lambda *arguments: self._answer(call, *arguments)

    def _answer(self, call: str, first: Any = None, *_: Any) -> Any:
        answers: dict[str, Any] = {"nvmlInit": None, "nvmlDeviceGetCount": len(self.boards)}
        answers |= {"nvmlSystemGetDriverVersion": "1", **self.answers}
        if isinstance(first, int):
            answers["nvmlDeviceGetHandleByIndex"] = self.boards[first]
            first = self.boards[first]
            answers |= {name: value for name, value in first.answers.items() if name == call}
        elif isinstance(first, FakeBoard):
            answers |= {"nvmlDeviceGetName": first.name, "nvmlDeviceGetUUID": first.uuid, **first.answers}
            if call == "nvmlDeviceGetTotalEnergyConsumption" and call not in answers:
                return first.counter_mj()
        answer = answers.get(call, Refusal())
        if isinstance(answer, Exception):
            raise answer
        return answer
