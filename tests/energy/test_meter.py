"""energy.meter: windows, shared edges, nesting, faults, resumed runs. Expectations are sums done by hand."""

import time

import pytest
from energy_doubles import Scripted

from energy import EnergyError, Meter
from energy.sources.source import Absent, Point


def test_adjacent_windows_share_one_reading(scripted):
    """n windows take n + 1 readings, and no joule falls between them or counts twice."""
    (source,) = scripted(Scripted("gpu0", [10.0, 13.0, 20.0, 21.0]))
    with Meter() as meter:
        for name in ("setup", "train", "validate"):
            meter.enter(name)
    readings = meter.readings()
    assert source.reads == 4
    assert [readings[name]["total_j"] for name in ("setup", "train", "validate")] == [3.0, 7.0, 1.0]


def test_seconds_of_adjacent_windows_add_up_to_the_run(scripted, monkeypatch):
    """Windows tile the time from the first edge to the last exactly."""
    scripted(Scripted("gpu0", [0.0]))
    clock = iter([0.0, 0.0, 1.0, 3.5, 4.0, 9.0])
    monkeypatch.setattr("energy.meter.time.perf_counter", lambda: next(clock))
    meter = Meter()
    for name in ("train", "validate", "train"):
        meter.enter(name)
    meter.close()
    readings = meter.readings()
    assert readings["train"]["seconds"] == 2.5 + 5.0
    assert readings["validate"]["seconds"] == 0.5


def test_a_name_that_returns_gathers_energy_and_edges(scripted):
    scripted(Scripted("gpu0", [0.0, 5.0, 6.0, 11.0, 12.0]))
    with Meter() as meter:
        for name in ("train", "validate", "train", "validate"):
            meter.enter(name)
    assert meter.readings()["train"]["total_j"] == 10.0
    assert meter.readings()["train"]["edges"] == 4
    assert meter.readings()["validate"]["total_j"] == 2.0


def test_entering_the_same_window_again_adds_no_edge_but_brings_readings_up_to_date(scripted):
    """Inside one window errors of the middle reading cancel, so it is not an edge."""
    scripted(Scripted("gpu0", [0.0, 5.0, 9.0]))
    meter = Meter()
    meter.enter("train")
    meter.enter("train")
    assert meter.readings()["train"]["total_j"] == 5.0
    meter.close()
    assert meter.readings()["train"]["total_j"] == 9.0
    assert meter.readings()["train"]["edges"] == 2


def test_an_open_window_counts_up_to_its_last_edge(scripted):
    scripted(Scripted("gpu0", [0.0, 5.0, 9.0]))
    with Meter() as meter:
        meter.enter("setup")
        meter.enter("train")
        assert list(meter.readings()) == ["setup"]


def test_a_resumed_run_keeps_the_readings_it_was_given(scripted):
    scripted(Scripted("gpu0", [0.0, 5.0]))
    with Meter() as first:
        first.enter("train")
    scripted(Scripted("gpu0", [100.0, 107.0, 108.0]))
    with Meter(earlier=first.readings()) as second:
        second.enter("train")
        second.enter("predict")
    both = second.readings()
    assert both["train"]["total_j"] == 12.0
    assert both["train"]["edges"] == 4
    assert both["predict"]["total_j"] == 1.0
    assert both["train"]["seconds"] > first.readings()["train"]["seconds"]


def test_nested_windows_lie_inside_the_one_around_them(scripted):
    scripted(Scripted("gpu0", [0.0, 2.0, 3.0, 7.0, 8.0, 20.0]))
    with Meter() as meter:
        meter.enter("train")
        with meter.window("epoch"), meter.window("forward"):
            pass
    readings = meter.readings()
    assert [readings[name]["total_j"] for name in ("forward", "epoch", "train")] == [4.0, 6.0, 20.0]
    assert [readings[name]["within"] for name in ("forward", "epoch", "train")] == ["epoch", "train", None]


def test_a_window_works_as_a_decorator_and_gathers_over_calls(scripted):
    scripted(Scripted("gpu0", [0.0, 2.0, 5.0, 9.0]))
    meter = Meter()

    @meter.window("step")
    def step() -> str:
        return "done"

    assert [step(), step()] == ["done", "done"]
    assert meter.readings()["step"]["total_j"] == 2.0 + 4.0


def test_a_window_ends_when_its_code_raises(scripted):
    scripted(Scripted("gpu0", [0.0, 2.0]))
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter.window("fit"):
        _ = 1 / 0
    assert meter.readings()["fit"]["total_j"] == 2.0


def test_a_name_cannot_be_open_twice(scripted):
    scripted(Scripted("gpu0", [0.0]))
    meter = Meter()
    meter.enter("train")
    with pytest.raises(EnergyError, match="'train' is already open"), meter.window("train"):
        pass


def test_closing_ends_every_window_and_a_closed_meter_refuses(scripted):
    scripted(Scripted("gpu0", [0.0, 1.0, 6.0]))
    meter = Meter()
    meter.enter("train")
    with meter.window("inner"):
        meter.close()
    meter.close()
    assert meter.readings()["train"]["total_j"] == 6.0
    assert meter.readings()["inner"]["total_j"] == 5.0
    with pytest.raises(EnergyError, match="closed"):
        meter.enter("more")


def test_work_is_synchronised_before_every_edge(scripted):
    (source,) = scripted(Scripted("gpu0", [0.0]))
    seen = []
    with Meter(sync=lambda: seen.append(source.reads)) as meter:
        meter.enter("train")
        meter.enter("validate")
    assert seen == [0, 1, 2]


def test_a_fault_voids_its_window_and_no_other(scripted):
    """The counter went back inside train; validate starts from the new value."""
    scripted(Scripted("gpu0", [50.0, Point(3.0, "went back"), 5.0]), Scripted("ram", [0.0, 1.0, 2.0]))
    with Meter() as meter:
        meter.enter("train")
        meter.enter("validate")
    train, validate = meter.readings()["train"], meter.readings()["validate"]
    assert train["components"]["gpu0"]["energy_j"] is None
    assert train["components"]["gpu0"]["method"] == "unavailable"
    assert train["components"]["gpu0"]["reason"] == "went back"
    assert (train["total_j"], train["lacks"]) == (1.0, ["gpu0"])
    assert validate["components"]["gpu0"]["energy_j"] == 2.0


def test_a_fall_without_a_fault_is_never_a_negative_energy(scripted):
    scripted(Scripted("gpu0", [50.0, 3.0]))
    with Meter() as meter:
        meter.enter("train")
    part = meter.readings()["train"]["components"]["gpu0"]
    assert part["energy_j"] is None
    assert "went back" in part["reason"]


def test_a_fault_between_edges_is_seen_by_the_background_reads(scripted):
    """The counter falls and recovers inside one window: only a read in between can see it."""
    source = Scripted("gpu0", [1.0])
    source.period_s = 0.01
    scripted(source)
    meter = Meter()
    meter.enter("train")
    with meter._lock:  # however many background reads there were before
        source._script, source.reads = [Point(0.5, "went back"), Point(90.0)], 0
    deadline = time.monotonic() + 5
    while source.reads < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    meter.close()
    assert meter.readings()["train"]["components"]["gpu0"]["reason"] == "went back"


def test_missing_is_null_and_never_zero(scripted):
    scripted(Absent("gpu0", "no driver"))
    with Meter() as meter:
        meter.enter("train")
    reading = meter.readings()["train"]
    assert reading["total_j"] is None
    assert reading["method"] == "unavailable"
    assert reading["components"]["gpu0"]["reason"] == "no driver"


def test_backend_none_meters_nothing_and_says_so():
    with Meter("none") as meter:
        meter.enter("train")
    reading = meter.readings()["train"]
    assert reading["total_j"] is None
    assert reading["lacks"] == ["cpu", "ram"]
    assert {part["reason"] for part in reading["components"].values()} == {"metering is off"}
    assert reading["seconds"] > 0


def test_a_misspelt_backend_is_answered_with_the_choices():
    with pytest.raises(EnergyError, match=r"did you mean codecarbon.*auto, nvml, nvml-sampled, rapl, codecarbon, none"):
        Meter("codecarbn")


def test_no_thread_outlives_the_meter(scripted):
    import threading

    before = set(threading.enumerate())
    source = Scripted("gpu0", [1.0])
    source.period_s = 0.01
    scripted(source)
    closed, forgotten = Meter(), Meter()
    closed.close()
    del forgotten
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_importing_energy_brings_no_heavy_package():
    import subprocess
    import sys

    heavy = ["torch", "pydantic", "pynvml", "codecarbon", "bpfree", "typer"]
    code = f"import sys, energy; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
