"""NVML: energy of NVIDIA GPUs, from the board's cumulative counter or, when the call is refused, from power samples.

A board's abilities are tried by calling it, not derived from its architecture. The counter moves in ticks, whose
length is measured at the start. A step that is more than the board's power limit allows in the time is a fault. Power
is per board: MIG slices and co-tenants cannot be told apart, so the first are refused in words and the second are
listed. On a module that joins GPU and CPU the counter is that of the module.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from energy.labels import COUNTER, SAMPLED, EnergyError
from energy.sources.nvml_session import Session, module
from energy.sources.plausible import MARGIN, largest_j
from energy.sources.source import Absent, Point, Source
from energy.sources.tenants import Run
from energy.sources.tick import ticks as find_ticks
from energy.sources.visible import Board, Missing, choose

WATCH_S = 1.0  # the counter is looked at this often, so that a jump or a stop inside a long window is seen
FROZEN_TICKS = 10
DEFAULT_UPDATE_S = 0.1  # of power readings that did not move during the probe
MAX_GAP_S = 1.0
HIGHEST_W = 1500.0  # of a board that states no limit, and of a module of GPU and CPU
BOARD, MODULE = "GPU board", "module of GPU and CPU with their memory (Grace-Hopper)"
_SENSOR = "the board sensor's own gain error is not included (about 5 % on most cards, arXiv 2312.02741)"


class GpuSource(Source):
    """One board, however it is read.

    Its state is noted at the start and at the end, and heat, throttling and other processes, which come and go, about
    once a second in between.

    Args:
        name: of the component.
        board: the board.
        session: the open NVML.
        run: the processes that are no co-tenants.
        fake: True for a test double.
    """

    sensor = _SENSOR
    highest_w: float = 0.0

    def __init__(self, name: str, board: Board, session: Session, run: Run, fake: bool) -> None:
        super().__init__(name)
        self.board, self.session, self._run = board, session, run
        self.fake = fake or board.name.startswith("FAKE") or (session.driver or "").endswith("-fake")
        self._start = session.snapshot(board.handle)
        self._end: dict[str, Any] | None = None
        self._seen: dict[str, Any] = {"looks": 0, "hottest_c": None, "throttling": set(), "other_pids": set()}
        self._next_look_s = 0.0
        self.devices = (board.uuid,)
        self.uuid_sha256 = hashlib.sha256(board.uuid.encode()).hexdigest()[:12]
        self._note(self._start)
        self._seen["looks"] = 0
        others = len(self._seen["other_pids"])
        self.boundary = BOARD + (f", shared: other processes on it at the start: {others}" if others else "")

    def detail(self) -> dict[str, Any]:
        return {
            "device": self.board.name,
            "nvml_index": self.board.index,
            "uuid_sha256": self.uuid_sha256,
            "driver": self.session.driver,
            "start": self._start,
            "end": self._end,
            "during": {key: sorted(value) if isinstance(value, set) else value for key, value in self._seen.items()},
        }

    def watch(self) -> None:
        if time.perf_counter() >= self._next_look_s:
            self._next_look_s = time.perf_counter() + WATCH_S / 2
            self._note(self.session.snapshot(self.board.handle))

    def close(self) -> None:
        self._end = self.session.snapshot(self.board.handle)
        self._note(self._end)

    def _note(self, state: dict[str, Any]) -> None:
        seen, now_c = self._seen, state["temperature_c"]
        seen["looks"] += 1
        seen["hottest_c"] = max((c for c in (seen["hottest_c"], now_c) if c is not None), default=None)
        seen["throttling"] |= set(state["throttling"] or ())
        seen["other_pids"] |= self._run.strangers(state["pids"] or ())
        self.highest_w = max(self.highest_w, state["power_limit_w"] or HIGHEST_W)


class NvmlCounter(GpuSource):
    """The cumulative counter, in mJ.

    A stand-still of many ticks, a step back or one that the board cannot have drawn voids the window it falls in.
    """

    method = COUNTER
    period_s = WATCH_S

    def __init__(self, name: str, board: Board, session: Session, run: Run, fake: bool, tick_s: float) -> None:
        super().__init__(name, board, session, run, fake)
        if session.is_module(board.handle):
            self.boundary = self.boundary.replace(BOARD, MODULE)
            self.highest_w = max(self.highest_w, HIGHEST_W)  # the board's limit is not the module's
        self.tick_ms, self._tick_s = 1e3 * tick_s, tick_s
        self.source = f"NVML energy counter of {board.name} ({self.uuid_sha256})"
        self._read_s = self._moved_s = time.perf_counter()
        self._raw_mj = self._raw()

    def _raw(self) -> int:
        return self.session.must("nvmlDeviceGetTotalEnergyConsumption", self.board.handle)

    def read(self) -> Point:
        began_s = time.perf_counter()
        try:
            raw_mj = self._raw()
        except EnergyError as error:
            return Point(None, str(error))
        now_s = time.perf_counter()
        seconds, step_j = now_s - self._read_s, (raw_mj - self._raw_mj) / 1e3
        still_s = now_s - self._moved_s
        self._read_s, self._raw_mj = began_s, raw_mj
        if step_j == 0:
            frozen = still_s > FROZEN_TICKS * self._tick_s
            return Point(raw_mj / 1e3, f"the energy counter has stood still for {still_s:.1f} s" if frozen else "")
        self._moved_s = now_s
        if step_j < 0:
            return Point(raw_mj / 1e3, "the energy counter went back: the driver was reloaded or the GPU reset")
        if step_j > largest_j(self.highest_w, seconds, self._tick_s):
            jump = f"{step_j:.4g} J in {seconds:.3g} s on a board of at most {self.highest_w:.4g} W"
            return Point(raw_mj / 1e3, f"the energy counter jumped: {jump}")
        return Point(raw_mj / 1e3)


class NvmlSampled(GpuSource):
    """Power readings integrated by the trapezoid rule, polled at half their update period or faster.

    A failed reading is a gap, never 0 W; a gap of more than a second voids the window, and so does a power that the
    board cannot draw. The bound of the error is that of the edges alone: what power did between two samples is unknown.
    """

    method = SAMPLED

    def __init__(
        self,
        name: str,
        board: Board,
        session: Session,
        run: Run,
        fake: bool,
        power: Callable[[], float],
        update_s: float,
    ) -> None:
        super().__init__(name, board, session, run, fake)
        self._read_w = power
        self.tick_ms = 1e3 * update_s
        self.period_s = update_s / 2
        self.source = f"NVML power readings of {board.name} ({self.uuid_sha256})"
        self._joules, self._power_w, self._time_s = 0.0, power(), time.perf_counter()
        self._samples, self._largest_gap_s = 1, 0.0

    def read(self) -> Point:
        try:
            power_w = self._read_w()
        except EnergyError as error:
            gap_s = time.perf_counter() - self._time_s
            if gap_s > MAX_GAP_S:
                return Point(None, str(error))
            return Point(self._joules + gap_s * self._power_w)  # not kept: the next reading closes the gap
        now_s = time.perf_counter()
        if not 0 <= power_w <= MARGIN * self.highest_w:
            return Point(None, f"a power of {power_w:.4g} W on a board of at most {self.highest_w:.4g} W")
        gap_s, self._time_s = now_s - self._time_s, now_s
        self._joules += gap_s * (power_w + self._power_w) / 2
        self._power_w, self._samples = power_w, self._samples + 1
        self._largest_gap_s = max(self._largest_gap_s, gap_s)
        return Point(self._joules, f"no power reading for {gap_s:.1f} s" if gap_s > MAX_GAP_S else "")

    def detail(self) -> dict[str, Any]:
        sampling = {"samples": self._samples, "largest_gap_ms": 1e3 * self._largest_gap_s}
        return super().detail() | {"poll_ms": 1e3 * (self.period_s or 0.0)} | sampling


def sources(
    gpus: Sequence[int | str] | None, nvml: Any, sampled: bool = False, processes: Collection[int] = ()
) -> Iterator[Source]:
    """One source for each GPU in use, ``Absent`` for one that is unreadable.

    Args:
        gpus: NVML indices or UUIDs; None: those that CUDA_VISIBLE_DEVICES names, else all.
        nvml: a double for the pynvml module, or None.
        sampled: do not use the counter.
        processes: PIDs that train together with this one.

    Raises:
        NoGpu: there is no NVIDIA GPU here.
        EnergyError: NVML does not start, or a GPU of ``gpus`` is not there.
    """
    session, run, fake = Session(nvml or module()), Run(processes), nvml is not None
    boards = choose(session.boards(), gpus)
    ticks = find_ticks([_counter(session, board) for board in boards if isinstance(board, Board) and not sampled])
    for position, board in enumerate(boards):
        name = f"gpu{position}"
        if isinstance(board, Missing):
            yield Absent(name, board.reason)
            continue
        tick = "power readings were requested" if sampled else next(ticks)
        try:
            yield _best(name, board, session, run, fake, tick)
        except EnergyError as error:  # it was lost just now
            yield Absent(name, str(error))


def _best(name: str, board: Board, session: Session, run: Run, fake: bool, tick: float | str) -> Source:
    """The counter where its tick is known, else power readings, else the reasons against both."""
    if isinstance(tick, float):
        return NvmlCounter(name, board, session, run, fake, tick)
    power = session.power(board.handle)
    try:
        power()
    except EnergyError as error:
        return Absent(name, f"energy counter: {tick}; power: {error}")
    period = next(find_ticks([power], 4 * DEFAULT_UPDATE_S))  # seconds, or a reason in words
    update_s = min(period, DEFAULT_UPDATE_S) if isinstance(period, float) else DEFAULT_UPDATE_S
    source = NvmlSampled(name, board, session, run, fake, power, update_s)
    source.refused.append(f"energy counter: {tick}")
    return source


def _counter(session: Session, board: Board) -> Callable[[], int]:
    return lambda: session.must("nvmlDeviceGetTotalEnergyConsumption", board.handle)
