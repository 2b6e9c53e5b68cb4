"""energy.readings: labels of totals, error bounds against simulation, sums of readings."""

import math
import random

import pytest
from energy_doubles import Scripted
from hypothesis import given
from hypothesis import strategies as st

from energy.labels import METHODS
from energy.readings import add, component, compose, ratio_bound, whole
from energy.sources.source import Point
from energy.windows import Edge, Stretch, Window

parts = st.dictionaries(
    st.sampled_from(["gpu0", "gpu1", "cpu", "ram"]),
    st.tuples(st.sampled_from(METHODS), st.floats(1e-3, 1e6)),
    min_size=1,
)


def reading(found: dict[str, tuple[str, float]], seconds: float = 10.0, edges: int = 2) -> dict:
    """A reading of components given as label and joules."""
    made = {}
    for name, (method, joules) in found.items():
        tick_ms = 1.0 if method.startswith("measured") else None
        highest_w = 10.0 if method.startswith("measured") else None
        fault = "why" if method == "unavailable" else ""
        made[name] = component(Scripted(name, [], method, tick_ms, highest_w), joules, fault)
    return compose(seconds, seconds, edges, made, None)


@given(parts)
def test_a_total_has_the_worst_label_it_includes_and_names_what_it_lacks(found):
    made = reading(found)
    known = {name: method for name, (method, _) in found.items() if method != "unavailable"}
    assert made["includes"] == sorted(known)
    assert made["lacks"] == sorted(set(found) - set(known))
    assert METHODS.index(made["method"]) == max(map(METHODS.index, known.values()), default=4)
    assert (made["total_j"] is None) == (not known)


@given(parts)
def test_joules_of_different_labels_are_kept_apart_beside_the_total(found):
    """The total never mixes silently: by_method splits it without remainder."""
    made = reading(found)
    for method in METHODS[:4]:
        mine = [joules for label, joules in found.values() if label == method]
        assert (method in made["by_method"]) == bool(mine)
        assert made["by_method"].get(method, 0.0) == pytest.approx(math.fsum(mine))
    assert (made["total_j"] or 0.0) == pytest.approx(math.fsum(made["by_method"].values()))


@given(parts, parts)
def test_adding_readings_never_improves_a_label_and_never_makes_a_zero_of_missing(first, second):
    both = add(reading(first), reading(second))
    for name, part in both["components"].items():
        labels = [found[name][0] for found in (first, second) if name in found]
        assert METHODS.index(part["method"]) == max(map(METHODS.index, labels))
        assert (part["energy_j"] is None) == ("unavailable" in labels)


def test_adding_keeps_the_sources_of_both_parts():
    first, second = reading({"gpu0": ("measured:counter", 5.0)}), reading({"gpu0": ("measured:sampled", 7.0)})
    second["components"]["gpu0"]["source"] = "another"
    part = add(first, second)["components"]["gpu0"]
    assert (part["energy_j"], part["method"], part["source"]) == (12.0, "measured:sampled", "a script; another")


@pytest.mark.parametrize("stretches", [1, 3, 20])
def test_the_error_bound_holds_and_is_reached_in_simulation(stretches):
    """A staircase counter of a constant 100 W, all that it can draw, at random phases (notes 2.3).

    The largest of many errors of one stretch comes close to a whole tick, so the bound must not be much wider.
    """
    draw, tick_s, power_w = random.Random(0), 0.1, 100.0
    source = Scripted("gpu0", [], tick_ms=1e3 * tick_s, highest_w=power_w)

    def edge(time_s: float) -> Edge:
        return Edge(time_s, 0.0, time_s, {"gpu0": Point(power_w * tick_s * math.floor(time_s / tick_s))})

    worst_share = 0.0
    for _ in range(3000 // stretches):
        window, now_s = Window(), 1e3 * draw.random()
        for _ in range(stretches):
            length_s = draw.uniform(0.15, 0.9)
            window.edges += 2
            Stretch("train", edge(now_s)).end(window, edge(now_s + length_s))
            now_s += length_s + draw.random()
        made = window.reading([source], "boot")
        error = abs(made["total_j"] - power_w * made["seconds"]) / made["total_j"]
        assert error <= made["err_bound"] + 1e-9
        assert made["err_bound"] == pytest.approx(tick_s * power_w * stretches / made["total_j"])
        worst_share = max(worst_share, error / made["err_bound"])
    assert stretches > 1 or worst_share > 0.9


def test_the_bound_is_that_of_the_highest_power_not_of_the_mean():
    """A burst of 300 W in the last tick before the end is missed whole: 30 J of 130 J at 100 ms, not 10 J."""
    part = component(Scripted("gpu0", [], tick_ms=100.0, highest_w=300.0), 100.0, "")
    made = compose(1.0, 0, 2, {"gpu0": part}, None)
    assert made["err_bound"] == pytest.approx(30 / 100)
    assert abs(130.0 - made["total_j"]) <= made["err_bound"] * made["total_j"]


def test_without_the_highest_power_there_is_no_bound():
    part = component(Scripted("wall", [], tick_ms=100.0), 100.0, "")
    assert compose(1.0, 0, 2, {"wall": part}, None)["err_bound"] is None


@pytest.mark.parametrize(("first", "second"), [(0.02, 0.05), (0.3, 0.3), (0.0, 0.1), (0.5, 0.0)])
def test_the_bound_of_a_ratio_is_that_of_its_worst_case(first, second):
    """True values anywhere in reading x (1 ± bound): the quotient is furthest off at (1 + a) / (1 - b)."""
    steps = [k / 50 - 1 for k in range(101)]
    worst = max(abs((1 + a * first) / (1 + b * second) - 1) for a in steps for b in steps)
    assert ratio_bound(first, second) == pytest.approx(worst)


def test_a_ratio_by_a_reading_that_may_be_nothing_has_no_bound():
    assert ratio_bound(0.1, 1.0) is ratio_bound(0.1, None) is ratio_bound(None, 0.1) is None


@pytest.mark.parametrize("energy_j", [0.0, 1e-300])
def test_a_counter_that_did_not_move_is_not_zero_energy(energy_j):
    part = component(Scripted("cpu", [], tick_ms=1.0, highest_w=100.0), energy_j, "")
    made = compose(5.0, 0, 2, {"cpu": part}, None)["components"]["cpu"]
    assert (made["energy_j"], made["reason"]) == (None, "not resolved: the counter did not move in 5 s")


def test_a_window_shorter_than_a_tick_is_not_resolved():
    """Neither 0 J nor the 5 times too much of a caught tick."""
    for caught_j in (0.0, 10.0):
        made = compose(0.02, 0, 2, {"gpu0": component(Scripted("gpu0", [], tick_ms=100.0), caught_j, "")}, None)
        part = made["components"]["gpu0"]
        assert part["energy_j"] is None
        assert part["method"] == "unavailable"
        assert "shorter than one tick" in part["reason"]


def test_a_window_too_short_for_its_claim_warns():
    """100 W: 0.5 s at 100 ms: up to 20 %. 10 s: 1 %."""
    source = Scripted("gpu0", [], tick_ms=100.0, highest_w=100.0)
    short, long = (compose(s, 0, 2, {"gpu0": component(source, 100 * s, "")}, None) for s in (0.5, 10.0))
    assert short["err_bound"] == pytest.approx(0.2)
    assert "20%" in short["warnings"][0]
    assert long["err_bound"] == pytest.approx(0.01)
    assert long["warnings"] == []


def test_an_estimate_has_no_error_bound_and_takes_it_from_the_total():
    made = reading({"gpu0": ("measured:counter", 5.0), "cpu": ("modelled", 1.0)})
    assert made["components"]["gpu0"]["err_bound"] is not None
    assert made["components"]["cpu"]["err_bound"] is None
    assert made["err_bound"] is None


def test_adjacent_windows_add_up_though_one_is_shorter_than_a_tick():
    """100 W for 1 s, half a tick and 2 s; what a nested window holds is in the one around it already."""

    def window(seconds: float, within: str | None = None, fault: str = "") -> dict:
        part = component(Scripted("gpu0", [], "measured:counter", 20.0), 100 * seconds, fault)
        return compose(seconds, seconds, 2, {"gpu0": part}, within)

    windows = [window(1.0), window(0.01), window(2.0), window(0.5, within="train")]
    assert windows[1]["total_j"] is None
    assert whole(windows) == {"energy_j": pytest.approx(301.0, rel=1e-12), "method": "measured:counter"}
    assert whole([*windows, window(1.0, fault="it went away")]) == {"energy_j": None, "method": "unavailable"}
    assert whole([]) == {"energy_j": None, "method": "unavailable"}
