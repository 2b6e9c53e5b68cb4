"""energy.sources.tick: periods of values that move, found by watching."""

import time

import pytest

from energy import EnergyError
from energy.sources.tick import ticks


def stairs(tick_s: float):
    return lambda: int(time.perf_counter() / tick_s)


def test_several_values_are_watched_at_once():
    """Seven changes of the slower one take 0.28 s; one after the other it would be 0.42 s."""
    began_s = time.perf_counter()
    found = list(ticks([stairs(0.02), stairs(0.04)]))
    assert found == [pytest.approx(0.02, rel=0.2), pytest.approx(0.04, rel=0.2)]
    assert time.perf_counter() - began_s < 0.42


def test_a_value_that_stands_still_is_frozen_and_a_refusal_is_passed_on():
    def refuse():
        raise EnergyError("no permission")

    assert list(ticks([lambda: 5, refuse], timeout_s=0.05)) == [
        "the value moved 0 times in 0.1 s: frozen",
        "no permission",
    ]
