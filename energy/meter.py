"""Meter: the energy of named windows of a run.

Adjacent windows share their edges: ``enter`` ends one window and starts the next with one reading, so that nothing
falls between them or is counted twice. A reading of all sources takes a few tens of microseconds; nothing spins for a
counter's tick (only ``align`` does, for micro-benchmarks and ``python -m energy run``).
"""

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from energy.clocks import boot_id, since_boot_s, suspended_s
from energy.labels import EnergyError, is_measured
from energy.readings import Reading, add, at_boot
from energy.sources import rapl
from energy.sources.find import complete, find, why_not, with_lacking
from energy.sources.source import Point, Source
from energy.windows import Edge, Stretch, Window

_ALIGN_TICKS = 5
_SPIN_S = 0.0002
_SUSPENDED_S = 0.1  # far above what two reads of the clocks lie apart
_around: ContextVar[tuple[Stretch, ...]] = ContextVar("windows around", default=())  # of this thread or task


class Meter:
    """Energy of named windows, one reading a name, each component with its method.

        meter = Meter()
        meter.enter("setup"); …; meter.enter("train"); …; meter.enter("validate"); …; meter.enter("train"); …
        meter.close()
        meter.readings()["train"]["total_j"], meter.readings()["train"]["method"]

    Args:
        backend: ``auto`` (the best available for each component), ``nvml``, ``nvml-sampled``, ``rapl``,
            ``codecarbon`` or ``none``.
        sync: called before every edge, e.g. ``torch.cuda.synchronize``, so that queued work falls into its window.
        earlier: ``readings()`` of the run that this one resumes; they are added in.
        gpus: NVML indices or UUIDs; none: no GPU; None: those that CUDA_VISIBLE_DEVICES names, else all.
        rapl_root: the powercap folder, which containers may mount elsewhere.
        nvml: a double for the ``pynvml`` module in tests; readings are then marked fake.
        sources: read these, one a component, instead of looking for any; ``backend`` is then only their name.
        origin: facts about where ``sources`` come from, for `describe`.
        lacks: components beside CPU and RAM that take part in the work, such as ``gpu``, with the reason why they are
            unavailable when no source reads them.
        processes: PIDs on this machine that work together with this one: no co-tenants of its GPUs.

    Raises:
        EnergyError: unknown backend or GPU, or a backend other than ``auto`` that can read nothing here.
    """

    def __init__(
        self,
        backend: str = "auto",
        sync: Callable[[], object] | None = None,
        earlier: Mapping[str, Reading] | None = None,
        *,
        gpus: Sequence[int | str] | None = None,
        rapl_root: str | os.PathLike[str] = rapl.ROOT,
        nvml: Any = None,
        sources: Sequence[Source] | None = None,
        origin: Mapping[str, str] | None = None,
        lacks: Mapping[str, str] | None = None,
        processes: Collection[int] = (),
    ) -> None:
        began_s = time.perf_counter()
        self.backend = backend
        self._sync = sync or _nothing
        self._boot = boot_id()
        self._earlier = {name: at_boot(reading, self._boot) for name, reading in (earlier or {}).items()}
        self._origin = dict(origin or {})
        if sources is None:
            components, self._notes = find(backend, gpus, rapl_root, nvml, processes)
        else:
            components, self._notes = complete(sources, why_not(backend)), {}
        self._sources = with_lacking(components, lacks or {})
        self._windows: dict[str, Window] = {}
        self._current: Stretch | None = None
        self._nested: list[Stretch] = []
        self._suspended_s = dict.fromkeys((source.name for source in self._sources), suspended_s())
        self._lock = threading.Lock()
        self._stop = threading.Event()
        periods = {source.name: source.period_s for source in self._sources if source.period_s is not None}
        if periods:
            threading.Thread(target=_pulse, args=(weakref.ref(self), self._stop, periods), daemon=True).start()
        self.start_s = time.perf_counter() - began_s

    def enter(self, name: str) -> None:
        """End the current window and start ``name`` with one shared reading. A name that returns gathers on.

        Raises:
            EnergyError: the meter is closed, or the name is that of an open nested window.
            Exception: that of ``sync``; the current window has then ended, and none is begun.
        """
        self._refuse_closed()
        error = self._synchronise()
        with self._lock:
            self._refuse_open(name, self._nested)
            edge = self._edge()
            again = self._current is not None and self._current.name == name
            self._end_current(edge)
            if error is None:
                self._current = self._begin(name, edge, None, again)
        if error is not None:
            raise error

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A window inside (or without) the current one, as a context manager or a decorator; it may nest.

        Its joules are also counted in the windows around it: ``within`` names the next one. Windows of other threads
        and tasks are not around it, though the joules of a machine are those of all of them.

        Raises:
            EnergyError: the meter is closed, or a window of this name is open.
            Exception: that of ``sync``, unless the window ends by another error, which comes first.
        """
        self._refuse_closed()
        if (error := self._synchronise()) is not None:
            raise error
        with self._lock:
            self._refuse_open(name, self._open())
            mine = [stretch for stretch in _around.get() if stretch in self._nested]
            around = mine[-1] if mine else self._current
            stretch = self._begin(name, self._edge(), around.name if around else None, again=False)
            self._nested.append(stretch)
        _around.set((*_around.get(), stretch))
        try:
            yield
        except BaseException:
            self._leave(stretch)
            raise
        if (error := self._leave(stretch)) is not None:
            raise error

    def close(self) -> None:
        """End every open window, stop the background reads and let the hardware go. May be called again.

        Raises:
            Exception: that of ``sync``, once all is done; not while another error is on its way.
        """
        if self._stop.is_set():
            return
        error = self._synchronise()
        with self._lock:
            edge = self._edge()
            self._stop.set()
            self._end_current(edge)
            for stretch in self._nested:
                stretch.end(self._windows[stretch.name], edge)
            self._nested.clear()
            for source in self._sources:
                source.close()
        if error is not None and sys.exception() is None:
            raise error

    def readings(self) -> dict[str, Reading]:
        """Readings by name of window (see ``energy.readings``); an open one counts up to its last edge."""
        with self._lock:
            now = {name: w.reading(self._sources, self._boot) for name, w in self._windows.items() if w.seconds > 0}
        names = [*self._earlier, *(name for name in now if name not in self._earlier)]
        both = {name: [part[name] for part in (self._earlier, now) if name in part] for name in names}
        return {name: parts[0] if len(parts) == 1 else add(*parts) for name, parts in both.items()}

    def describe(self) -> dict[str, Any]:
        """JSON: the source of each component, the better ones that were refused and why, and the start-up time in s."""
        return {
            "backend": self.backend,
            "origin": self._origin,
            "boot": self._boot,
            "start_s": self.start_s,
            "model_start_s": next((source.start_s for source in self._sources if source.start_s is not None), None),
            "fake": any(source.fake for source in self._sources),
            "notes": self._notes,
            "components": {
                source.name: {
                    "method": source.method,
                    "source": source.source,
                    "boundary": source.boundary,
                    "uncertainty": source.sensor,
                    "devices": list(source.devices),
                    "tick_ms": source.tick_ms,
                    "reason": source.reason,
                    "refused": source.refused,
                    "fake": source.fake,
                    **source.detail(),
                }
                for source in self._sources
            },
        }

    def align(self) -> float:
        """Wait until the slowest counter ticks, and return the wait in s. For micro-benchmarks, never in training.

        A window that starts and ends just after it has far smaller edge errors than its stated bound. Without
        counters, or when none moves within five ticks, it returns all the same.
        """
        slowest = max(self._sources, key=lambda source: source.tick_ms or 0.0)
        began_s = time.perf_counter()
        end_s = began_s + _ALIGN_TICKS * (slowest.tick_ms or 0.0) / 1e3
        with self._lock:
            first = self._read(slowest)
            while time.perf_counter() < end_s and self._read(slowest) == first:
                time.sleep(_SPIN_S)
        return time.perf_counter() - began_s

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._stop.is_set():
            raise EnergyError("the meter is closed: make a new one")

    def _synchronise(self) -> Exception | None:
        """Wait for queued work; returns its error, which must cost no reading."""
        try:
            self._sync()
        except Exception as error:  # whatever the work was
            return error
        return None

    def _edge(self) -> Edge:
        children = os.times()  # in ticks of the kernel, 10 ms; of this process there is better
        cpu_s = time.process_time() + children.children_user + children.children_system
        time_s, clock_s = time.perf_counter(), since_boot_s()
        return Edge(time_s, cpu_s, clock_s, {source.name: self._read(source) for source in self._sources})

    def _read(self, source: Source) -> Point:
        """Read one source; a fault falls on every open window."""
        try:
            point = source.read()
        except Exception as error:  # somebody's own source may fail in any way
            point = Point(None, f"it cannot be read: {type(error).__name__}: {error}")
        before_s = self._suspended_s[source.name]
        now_s = self._suspended_s[source.name] = suspended_s()
        if is_measured(source.method) and now_s - before_s > _SUSPENDED_S and not point.fault:
            slept = f"the machine was suspended for {now_s - before_s:.1f} s"
            point = Point(point.joules, f"{slept}: what its counters did meanwhile is not known")
        if point.fault:
            for stretch in self._open():
                stretch.faults.setdefault(source.name, point.fault)
        return point

    def _leave(self, stretch: Stretch) -> Exception | None:
        """End a nested window, unless the meter was closed inside, and the window with it; returns sync's error."""
        _around.set(tuple(other for other in _around.get() if other is not stretch))
        if stretch not in self._nested:
            return None
        error = self._synchronise()
        with self._lock:
            if stretch in self._nested:
                edge = self._edge()
                self._nested.remove(stretch)
                stretch.end(self._windows[stretch.name], edge)
        return error

    def _open(self) -> list[Stretch]:
        return [*([self._current] if self._current else []), *self._nested]

    def _begin(self, name: str, edge: Edge, within: str | None, again: bool) -> Stretch:
        window = self._windows.setdefault(name, Window(within))
        window.edges += 0 if again else 2
        return Stretch(name, edge)

    def _end_current(self, edge: Edge) -> None:
        if self._current is not None:
            self._current.end(self._windows[self._current.name], edge)
            self._current = None

    def _refuse_open(self, name: str, stretches: Sequence[Stretch]) -> None:
        if any(stretch.name == name for stretch in stretches):
            raise EnergyError(f"the window {name!r} is already open")

    def _touch(self, name: str) -> None:
        with self._lock:
            if not self._stop.is_set():
                source = next(source for source in self._sources if source.name == name)
                self._read(source)
                with suppress(Exception):  # what colours the energy must not end the reads in the background
                    source.watch()


def _nothing() -> None:
    """The sync of code that queues nothing."""


def _pulse(meter_ref: "weakref.ref[Meter]", stop: threading.Event, periods: Mapping[str, float]) -> None:
    """Read each source at its own period until the meter is closed or forgotten."""
    due_s = {name: time.perf_counter() + period_s for name, period_s in periods.items()}
    while not stop.wait(max(0.0, min(due_s.values()) - time.perf_counter())):
        meter = meter_ref()
        if meter is None:
            return
        name = min(due_s, key=lambda key: due_s[key])
        meter._touch(name)
        due_s[name] = time.perf_counter() + periods[name]
        del meter
