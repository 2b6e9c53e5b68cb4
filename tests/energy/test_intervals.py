"""Stretches of every window on the machine's clock, so that a report can see what was metered at the same time."""

import itertools
import time
from pathlib import Path

import pytest
from energy_doubles import Scripted
from hypothesis import given
from hypothesis import strategies as st

from energy import Meter
from energy.readings import TOUCH_S, add, at_boot, compose, lacking, merged

pairs = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20)).map(lambda p: [p[0], p[0] + p[1]]))


def reading(boot: str, *intervals: list[float]) -> dict:
    return compose(1.0, 1.0, 2, {}, None, boot=boot, intervals=intervals)


def clock(monkeypatch: pytest.MonkeyPatch, *moments_s: float) -> None:
    moments = iter(moments_s)
    monkeypatch.setattr("energy.meter.since_boot_s", lambda: next(moments))


def test_every_stretch_is_kept_in_seconds_since_the_boot(scripted, monkeypatch):
    """train: 10 to 12 and 15 to 20, with validate in between; rounded to microseconds."""
    scripted(Scripted("gpu0", [0.0]))
    clock(monkeypatch, 10.0, 12.0, 15.0000004, 20.0)
    with Meter() as meter:
        for name in ("train", "validate", "train"):
            meter.enter(name)
    readings = meter.readings()
    assert readings["train"]["intervals"] == [[10.0, 12.0], [15.0, 20.0]]
    assert readings["validate"]["intervals"] == [[12.0, 15.0]]


def test_stretches_that_touch_are_one_interval(scripted, monkeypatch):
    """A window that is entered again, and one nested in every step of a loop without a pause."""
    scripted(Scripted("gpu0", [0.0]))
    clock(monkeypatch, *(float(k) for k in range(1, 5)))
    with Meter() as meter:
        for _ in range(3):
            meter.enter("train")
    assert meter.readings()["train"]["intervals"] == [[1.0, 4.0]]


def test_the_clock_and_the_boot_are_the_machines(scripted):
    """/proc/uptime counts since the boot, suspended time included, in hundredths of a second."""
    uptime, boot = Path("/proc/uptime"), Path("/proc/sys/kernel/random/boot_id")
    if not (uptime.exists() and boot.exists()):
        pytest.skip("this system has no /proc")
    scripted(Scripted("gpu0", [0.0]))
    before_s = float(uptime.read_text(encoding="utf-8").split()[0])
    with Meter() as meter:
        meter.enter("train")
        time.sleep(0.02)
    after_s = float(uptime.read_text(encoding="utf-8").split()[0])
    train = meter.readings()["train"]
    ((start_s, end_s),) = train["intervals"]
    assert before_s - 0.01 <= start_s < end_s <= after_s + 0.01
    assert train["boot"] == meter.describe()["boot"] == boot.read_text(encoding="utf-8").strip()


def test_readings_and_description_name_the_devices(tree):
    tree.zone("0", "package-0")
    tree.zone("0:0", "dram")
    tree.zone("1", "package-1", 7_000_000)
    with Meter("rapl", rapl_root=tree.root) as meter:
        meter.enter("train")
    for parts in (meter.describe()["components"], meter.readings()["train"]["components"]):
        assert parts["cpu"]["devices"] == ["package-0", "package-1"]
        assert parts["ram"]["devices"] == ["package-0 dram"]


def test_a_resumed_run_keeps_its_intervals(scripted, monkeypatch):
    scripted(Scripted("gpu0", [0.0]))
    clock(monkeypatch, 1.0, 2.0)
    with Meter() as first:
        first.enter("train")
    clock(monkeypatch, 5.0, 6.0, 7.0)
    with Meter(earlier=first.readings()) as second:
        second.enter("train")
        second.enter("predict")
    assert second.readings()["train"]["intervals"] == [[1.0, 2.0], [5.0, 6.0]]
    assert second.readings()["predict"]["intervals"] == [[6.0, 7.0]]


def test_intervals_before_another_boot_stand_apart(scripted, monkeypatch):
    """Two clocks must not be mixed: 1 to 2 s after one boot is not 1 to 2 s after another."""
    scripted(Scripted("gpu0", [0.0]))
    clock(monkeypatch, 5.0, 6.0)
    monkeypatch.setattr("energy.meter.boot_id", lambda: "now")
    earlier = {"train": reading("before", [1.0, 2.0]), "setup": reading("before", [0.0, 1.0])}
    with Meter(earlier=earlier) as meter:
        meter.enter("train")
    train, setup = meter.readings()["train"], meter.readings()["setup"]
    assert (train["boot"], train["intervals"], train["earlier_boots"]) == ("now", [[5, 6]], {"before": [[1, 2]]})
    assert (setup["boot"], setup["intervals"], setup["earlier_boots"]) == ("now", [], {"before": [[0, 1]]})
    again = at_boot(train, "before")
    assert (again["intervals"], again["earlier_boots"]) == ([[1, 2]], {"now": [[5, 6]]})


def test_a_reading_of_an_older_version_can_be_gone_on_with():
    old = {key: value for key, value in reading("x", [1, 2]).items() if key not in ("boot", "intervals")}
    del old["earlier_boots"]
    assert add(old, reading("now", [5, 6]))["intervals"] == [[5, 6]]


def test_a_component_that_is_added_leaves_the_intervals():
    assert lacking(reading("now", [5, 6]), "instrument", "out of reach")["intervals"] == [[5, 6]]


@given(pairs)
def test_merged_intervals_cover_the_same_moments_and_are_apart(intervals):
    """Against the set of all half-unit moments that any interval covers."""

    def covered(spans: list) -> set[int]:
        return {k for start, end in spans for k in range(round(2 * start), round(2 * end) + 1)}

    made = merged(intervals)
    assert covered(made) == covered(intervals)
    assert all(two[0] - one[1] > TOUCH_S for one, two in itertools.pairwise(made))
