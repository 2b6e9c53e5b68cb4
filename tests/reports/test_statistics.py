"""Statistics against theory: coverage by simulation with a fixed seed, hand-worked tests, published tables."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bpfree.reports import statistics

SIMULATIONS = 2000


def shares(trial, count: int = SIMULATIONS) -> float:
    rng = np.random.default_rng(20260101)
    return sum(trial(rng) for _ in range(count)) / count


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_t_interval_covers_the_true_mean_19_times_in_20(n):
    """Of 2000 draws 95 % +- 3 sqrt(.05 x .95 / 2000) = 1.5 pp may cover it."""

    def covers(rng) -> bool:
        low, high = statistics.interval(rng.normal(0.3, 1.0, n))
        return low <= 0.3 <= high

    assert shares(covers) == pytest.approx(0.95, abs=0.015)


def test_the_interval_is_the_tables_multiple_of_the_spread():
    """Half-widths in units of the SD, energy_metering notes section 10: 2.48 at n = 3, 1.24 at 5, 0.72 at 10."""
    for n, k in ((3, 2.48), (4, 1.59), (5, 1.24), (6, 1.05), (8, 0.84), (10, 0.72), (20, 0.47), (30, 0.37)):
        values = np.linspace(-1, 1, n)
        actual = statistics.summary(values)
        assert (actual.high - actual.mean) / values.std(ddof=1) == pytest.approx(k, abs=0.0051)
        assert actual.mean - actual.low == pytest.approx(actual.high - actual.mean)


def test_the_bootstrap_interval_covers_less_than_it_says_at_few_runs_but_is_near_at_many():
    """Theory: at n = 30 the percentile interval is narrower than t's by sqrt((n - 1) / n) x 1.960 / 2.045 = 0.942,
    which is 93.5 % coverage; over 300 draws +- 3 sqrt(.065 x .935 / 300) = 4.3 pp."""

    def covers(rng) -> bool:
        low, high = statistics.bootstrap(rng.normal(0.0, 1.0, 30), seed=int(rng.integers(2**31)))
        return low <= 0 <= high

    assert shares(covers, 300) == pytest.approx(0.935, abs=0.043)


def test_the_bootstrap_is_seeded():
    values = [math.sqrt(k) for k in range(1, 30)]
    assert (
        statistics.bootstrap(values, seed=3)
        == statistics.bootstrap(values, seed=3)
        != statistics.bootstrap(values, seed=4)
    )


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert (statistics.summary([2.0]).mean, statistics.summary([2.0]).low) == (2.0, None)
    assert statistics.summary([]).mean is None
    assert statistics.paired([1.0]).p is None


def test_p_of_a_paired_test_by_hand():
    """d = 1, 2, 3: mean 2, sd 1, t = 2 sqrt(3), 2 degrees of freedom, where P(|T| > t) = 1 - t / sqrt(2 + t^2)."""
    t = 2 * math.sqrt(3)
    assert statistics.paired([1.0, 2.0, 3.0]).p == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)


def test_under_no_effect_p_falls_below_5_percent_once_in_20():
    assert shares(lambda rng: statistics._t_tail(abs(_t(rng.normal(0, 1, 5))), 4) < 0.025) == pytest.approx(
        0.05, abs=0.015
    )


def _t(d) -> float:
    return d.mean() / (d.std(ddof=1) / math.sqrt(len(d)))


def test_no_spread_gives_no_p_but_equal_runs_give_one():
    assert statistics.paired([0.5, 0.5, 0.5]).p is None
    assert statistics.paired([0.0, 0.0, 0.0]).p == 1.0


def test_statistics_refuse_what_is_no_number():
    with pytest.raises(ValueError, match="finite"):
        statistics.summary([1.0, math.nan])


def test_holm_by_hand():
    """Four tests at .01, .04, .03, .005: 4 x .005 = .02, 3 x .01 = .03, 2 x .03 = .06, then .04 may not fall below."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p):
    adjusted = statistics.holm(p)
    for raw, new in zip(p, adjusted, strict=True):
        assert raw <= new <= min(1.0, len(p) * raw) + 1e-12
    assert [adjusted[k] for k in sorted(range(len(p)), key=p.__getitem__)] == sorted(adjusted)


def test_tost_by_hand():
    """d = -.1, .1, .1, .3: mean .1, sd sqrt(.08/3), standard error .0816497; margin .25: t = 1.837117, 3 degrees of
    freedom. P(T > t) = 1/2 - (atan(x) + x / (1 + x^2)) / pi with x = t / sqrt(3)."""
    actual = statistics.equivalence([-0.1, 0.1, 0.1, 0.3], 0.25)
    x = 0.15 / math.sqrt(0.08 / 12) / math.sqrt(3)
    assert actual.p == pytest.approx(0.5 - (math.atan(x) + x / (1 + x * x)) / math.pi, rel=1e-9)
    assert actual.equivalent is False
    assert statistics.equivalence([-0.1, 0.1, 0.1, 0.3], 0.5).equivalent is True


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=10), st.floats(0.01, 1))
def test_tost_passes_exactly_when_the_90_percent_interval_lies_within_the_margin(d, margin):
    actual = statistics.equivalence(d, margin)
    if min(margin - abs(actual.low), margin - abs(actual.high)) ** 2 > 1e-18:  # else a matter of rounding
        assert actual.equivalent == (-margin < actual.low and actual.high < margin)


def test_tost_rarely_calls_equal_what_differs_by_the_margin():
    actual = shares(lambda rng: statistics.equivalence(rng.normal(0.25, 0.1, 6), 0.25).equivalent, 400)
    assert actual <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_a_margin_is_positive():
    with pytest.raises(ValueError, match="above 0"):
        statistics.equivalence([0.0, 0.1], 0.0)


@pytest.mark.parametrize(
    ("sd", "needed"),
    [(1, [10, 5, 3, 3, 3]), (2, [34, 10, 4, 3, 3]), (5, [199, 52, 10, 5, 3]), (10, [787, 199, 34, 10, 5])],
)
def test_the_pairs_needed_are_those_of_the_notes(sd, needed):
    """Table of section 10, from the noncentral t distribution, for effects of 1, 2, 5, 10 and 20 %."""
    assert [statistics.pairs_needed(effect, sd) for effect in (1, 2, 5, 10, 20)] == needed


def test_with_the_pairs_needed_four_tests_in_five_see_the_effect():
    n = statistics.pairs_needed(0.05, 0.05)
    critical = statistics._t_quantile(0.975, n - 1)
    assert shares(lambda rng: abs(_t(rng.normal(0.05, 0.05, n))) > critical) >= 0.8 - 0.027


def test_no_effect_and_effects_beyond_any_study_need_no_number():
    assert statistics.pairs_needed(0.0, 1.0) is None
    assert statistics.pairs_needed(1e-4, 1.0) is None


def test_a_run_that_is_missing_did_not_reach_the_target():
    assert statistics.reached([0.98, None, 0.97, 0.975], 0.975) == (2, 4)
    assert statistics.reached([0.1, 0.3], 0.2, maximize=False) == (1, 2)


def test_a_spread_that_cannot_come_from_the_runs_is_known():
    """CIFAR-10 of the first study: three equal runs of 62.34 %, stated as 62.34 +- .05."""
    assert not statistics.spread_is_possible({"mean": 62.34, "sd": 0.05, "n": 3}, [62.34] * 3, 2)
    assert statistics.spread_is_possible({"mean": 62.34, "sd": 0.05, "n": 3}, [62.29, 62.34, 62.39], 2)
    assert statistics.spread_is_possible({"mean": 62.34, "sd": 0.04}, [62.29, 62.34, 62.39], 2)  # sd over n
    assert not statistics.spread_is_possible({"mean": 62.34, "sd": 0.05, "n": 5}, [62.29, 62.34, 62.39], 2)
    assert not statistics.spread_is_possible({"mean": 62.40, "sd": 0.05}, [62.29, 62.34, 62.39], 2)


@pytest.mark.parametrize("size", [0.5, 5.7, 40.0])
def test_power_of_three_pairs_by_quadrature(size):
    """With two degrees of freedom chi-square / 2 is exponential: P(T > c) = E[1 - exp(-((d + z) / c)^2); d + z > 0]."""
    alpha = 0.00357
    c, d = scipy.stats.t.ppf(1 - alpha / 2, 2), size * math.sqrt(3)

    def tail(z: float, sign: int) -> float:
        return scipy.stats.norm.pdf(z) * -math.expm1(-(((d + z) / c) ** 2)) * (sign * (d + z) > 0)

    expected = sum(scipy.integrate.quad(tail, -12, 12, (sign,), limit=400)[0] for sign in (1, -1))
    assert statistics.power_of(size, 3, alpha) == pytest.approx(expected, rel=1e-5)
