"""The stated bound of a window's error holds whatever the power did: five shapes, two counters, 200 windows each."""

import pytest
from simulated_power import SHAPES, SOURCES, windows

from energy.readings import compose


@pytest.mark.parametrize("counter", SOURCES)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_window_errs_by_more_than_its_bound(counter, shape):
    shares = [window.share for window in windows(counter, shape, 200, seed=1)]
    assert len(shares) == 200
    assert max(shares) <= 1


def test_the_bound_of_constant_power_would_not_hold():
    """It did not know what a burst at the end of a window hides: the simulation can tell the two apart."""
    assert max(window.constant_share for window in windows("nvml", "bursts", 200, seed=1)) > 1


@pytest.mark.parametrize("counter", SOURCES)
def test_the_bound_is_not_idle(counter):
    """Some window comes near it, or it would say nothing."""
    assert max(window.share for window in windows(counter, "square", 200, seed=1)) > 0.5


@pytest.mark.parametrize(("tick_ms", "bound"), [(0.0, 0.0), (None, None), (10.0, 0.01 * 50 / 100)])
def test_a_continuous_source_has_no_edge_error_and_an_unknown_tick_an_unknown_one(tick_ms, bound):
    """100 J in 2 s: the edges of one window err by a tick at the highest power of 50 W; nothing, where none is."""
    part = {"energy_j": 100.0, "method": "measured:counter", "tick_ms": tick_ms, "highest_w": 50.0, "fake": False}
    assert compose(2.0, 2.0, 2, {"wall": part}, None)["err_bound"] == bound
