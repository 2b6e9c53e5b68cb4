"""Edges under stress: a sync that fails, threads and tasks, a suspended machine, a source that raises."""

import asyncio
import contextlib
import math
import threading
import time

import pytest
from energy_doubles import Scripted, SimulatedTime

from energy import EnergyError, Meter
from energy.sources.source import Point, Source


class Assertion(RuntimeError):
    """The error of queued work, such as a CUDA assert."""


class Queue:
    """Queued work whose wait fails from the n-th on."""

    def __init__(self, good: int) -> None:
        self.good = good

    def __call__(self) -> None:
        self.good -= 1
        if self.good < 0:
            raise Assertion("device-side assert")


def test_a_sync_that_fails_at_a_change_of_windows_costs_no_reading(scripted):
    scripted(Scripted("gpu0", [0.0, 5.0, 9.0, 12.0]))
    meter = Meter(sync=Queue(2))
    meter.enter("setup")
    meter.enter("train")
    with pytest.raises(Assertion):
        meter.enter("validate")
    with pytest.raises(Assertion):
        meter.close()
    readings = meter.readings()
    assert {name: reading["total_j"] for name, reading in readings.items()} == {"setup": 5.0, "train": 4.0}


def test_a_sync_that_fails_does_not_hide_the_error_before(scripted):
    """Training fails, then every wait for the device fails too, in the nested window and at the end."""
    scripted(Scripted("gpu0", [0.0, 5.0, 9.0, 12.0]))
    meter = Meter(sync=Queue(2))

    def fit() -> None:
        with contextlib.closing(meter):
            meter.enter("train")
            with meter.window("step"):
                _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fit()
    assert meter.readings()["step"]["total_j"] == 4.0
    assert meter.readings()["train"]["total_j"] == 12.0


def test_a_sync_that_fails_at_the_end_of_a_window_is_raised_after_it_is_booked(scripted):
    scripted(Scripted("gpu0", [0.0, 5.0]))
    meter = Meter(sync=Queue(1))
    with pytest.raises(Assertion), meter.window("step"):
        pass
    assert meter.readings()["step"]["total_j"] == 5.0
    with pytest.raises(Assertion), meter.window("more"):
        pass
    assert "more" not in meter.readings()


def test_threads_have_windows_of_their_own(scripted):
    """Both are open at once and neither is inside the other; each is inside the current window."""
    scripted(Scripted("gpu0", [0.0]))
    meter, both = Meter(), threading.Barrier(2, timeout=10)
    meter.enter("train")

    def work(name: str) -> None:
        with meter.window(name):
            both.wait()
            with meter.window(f"{name} inner"):
                both.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    meter.close()
    within = {name: reading["within"] for name, reading in meter.readings().items()}
    assert within == {"train": None, "a": "train", "b": "train", "a inner": "a", "b inner": "b"}


def test_tasks_have_windows_of_their_own(scripted):
    """Two tasks that take turns: a opens first and ends last. One begun inside a window is inside it while it lasts."""
    scripted(Scripted("gpu0", [0.0]))
    meter = Meter()

    async def work(name: str, rests: int) -> None:
        with meter.window(name):
            for _ in range(rests):
                await asyncio.sleep(0)

    async def late(name: str) -> None:
        with meter.window(f"{name} inside"):
            pass
        await asyncio.sleep(0.02)
        with meter.window(f"{name} after"):
            pass

    async def main() -> None:
        await asyncio.gather(work("a", 5), work("b", 1))
        with meter.window("around"):
            task = asyncio.create_task(late("c"))
            await asyncio.sleep(0.005)
        await task

    asyncio.run(main())
    meter.close()
    within = {name: reading["within"] for name, reading in meter.readings().items()}
    assert within == {"a": None, "b": None, "around": None, "c inside": "around", "c after": None}


def test_one_name_is_open_once_over_all_threads(scripted):
    scripted(Scripted("gpu0", [0.0]))
    meter, errors = Meter(), []

    def work() -> None:
        try:
            with meter.window("step"):
                pass
        except EnergyError as error:
            errors.append(str(error))

    with meter.window("step"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
    assert errors == ["the window 'step' is already open"]


@pytest.mark.parametrize(
    ("method", "known"), [("measured:counter", False), ("measured:sampled", False), ("modelled", True)]
)
def test_a_suspend_of_the_machine_voids_what_is_measured_in_its_window_only(scripted, monkeypatch, method, known):
    clock = SimulatedTime(monkeypatch)
    scripted(Scripted("wall", [0.0, 5.0, 9.0], method))
    with Meter() as meter:
        meter.enter("train")
        clock.pass_by(1.0)
        clock.suspended_s += 7.5
        meter.enter("validate")
        clock.pass_by(1.0)
    train, validate = (meter.readings()[name]["components"]["wall"] for name in ("train", "validate"))
    assert train["energy_j"] == (5.0 if known else None)
    assert known or "the machine was suspended for 7.5 s" in train["reason"]
    assert validate["energy_j"] == 4.0
    ((start_s, end_s),) = meter.readings()["train"]["intervals"]
    assert end_s - start_s == pytest.approx(8.5)


class Broken(Source):
    """A source of somebody's own that breaks its word and raises, in the middle of a run."""

    method, source, boundary = "measured:counter", "a plug", "the wall"

    def __init__(self, good: int) -> None:
        super().__init__("wall")
        self.good, self.period_s, self.watched = good, 0.01, 0

    def read(self) -> Point:
        self.good -= 1
        if self.good < 0:
            raise OSError("no route to host")
        return Point(1.0)

    def watch(self) -> None:
        self.watched += 1
        raise KeyError("temperature")


def test_a_source_that_raises_is_unavailable_and_the_run_goes_on():
    source = Broken(1)
    source.period_s = None
    with Meter("mine", sources=[source]) as meter:
        meter.enter("train")
    part = meter.readings()["train"]["components"]["wall"]
    assert (part["energy_j"], part["reason"]) == (None, "it cannot be read: OSError: no route to host")


def test_a_source_that_raises_does_not_end_the_reads_in_the_background():
    source = Broken(0)
    meter, deadline = Meter("mine", sources=[source]), time.monotonic() + 10
    while source.watched < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    meter.close()
    assert source.watched >= 3


@pytest.mark.parametrize("joules", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_never_an_energy(scripted, joules):
    scripted(Scripted("wall", [0.0, joules]))
    with Meter() as meter:
        meter.enter("train")
    part = meter.readings()["train"]["components"]["wall"]
    assert part["energy_j"] is None
    assert part["reason"] == "the value is no number"


def test_components_that_take_part_and_are_not_read_are_lacking():
    class Wall(Broken):
        contains = ("cpu", "gpu")

    with Meter("mine", sources=[Wall(99)], lacks={"gpu": "why", "host b": "far"}) as meter:
        assert list(meter.describe()["components"]) == ["wall", "ram", "host b"]
    with Meter("none", lacks={"gpu": "metering is off"}) as meter:
        meter.enter("train")
    assert meter.readings()["train"]["lacks"] == ["cpu", "gpu", "ram"]
