"""Statistics of paired runs: intervals, tests, equivalence, power. Pure functions of numbers; scipy does the work.

Runs are paired by seed and data order. Accuracies are compared by the paired difference d_i = a_i - b_i; energies,
times and memory by the log-ratio d_i = ln(a_i / b_i), whose mean and interval are exponentiated again:

    mean d +- t(1 - alpha/2, n - 1) sd(d) / sqrt(n),   sd with n - 1

and beside it a percentile bootstrap of the mean (seeded, so that a report can be computed again). Bootstrap intervals
are too narrow below about ten pairs; verdicts use the t interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
ALPHA = 1 - LEVEL
POWER = 0.8
RESAMPLES = 10_000
MIN_PAIRS = 3  # a spread seen in fewer is no spread
MOST_PAIRS = 100_000


@dataclass(frozen=True)
class Summary:
    """Mean of ``n`` values; ``sd`` (n - 1), ``low`` and ``high`` (t) and the bootstrap's are None below two values."""

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    boot_low: float | None
    boot_high: float | None


@dataclass(frozen=True)
class Paired(Summary):
    """A paired comparison on the scale of its differences: their summary, and the two-sided p value of mean 0."""

    p: float | None
    pairs_needed: int | None  # to detect the observed mean, at its spread, with power 0.8; None: unknown


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: ``p`` is the larger p value; ``low`` and ``high`` the 1 - 2 alpha interval they rest on."""

    margin: float
    p: float | None
    low: float | None
    high: float | None
    equivalent: bool


def summary(values: Sequence[float], level: float = LEVEL, seed: int = 0) -> Summary:
    """Mean with t and bootstrap intervals.

    Args:
        values: one a run.
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: a value that is not finite.

    >>> three = summary([1.0, 2.0, 3.0])
    >>> three.n, three.mean, three.sd
    (3, 2.0, 1.0)
    """
    x = _finite(values)
    n = len(x)
    if n < 2:
        return Summary(n, float(x[0]) if n else None, None, None, None, None, None)
    return Summary(n, float(x.mean()), float(x.std(ddof=1)), *interval(x, level), *bootstrap(x, level, seed))


def interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The t interval of the mean.

    Args:
        values: two or more.
        level: such as 0.95.

    >>> low, high = interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    x = _finite(values)
    half = _t_quantile(1 - (1 - level) / 2, len(x) - 1) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return float(x.mean()) - half, float(x.mean()) + half


def bootstrap(values: Sequence[float] | np.ndarray, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, from 10,000 resamples.

    Args:
        values: one or more.
        level: such as 0.95.
        seed: of the generator.
    """
    from scipy import stats

    x = _finite(values)
    if x.min() == x.max():
        return float(x[0]), float(x[0])
    resampled = stats.bootstrap(
        (x,),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(resampled.low), float(resampled.high)


def differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """``a_i - b_i`` of paired values.

    Args:
        a: one value a pair.
        b: as many.

    Raises:
        ValueError: unequal numbers of values.
    """
    return [x - y for x, y in zip(a, b, strict=True)]


def paired(d: Sequence[float], level: float = LEVEL, seed: int = 0) -> Paired:
    """Summary of paired differences, with the p value of the two-sided paired t test that their mean is 0.

    Differences that are all equal have no spread to judge by: p is then 1 where they are 0, and None elsewhere.

    Args:
        d: paired differences, or log-ratios.
        level: of the intervals.
        seed: of the bootstrap.

    >>> three = paired([1.0, 2.0, 3.0])
    >>> round(three.p, 4), three.pairs_needed
    (0.0742, 5)
    """
    d_summary = summary(d, level, seed)
    p, needed = None, None
    if d_summary.mean is not None and d_summary.sd is not None:
        if d_summary.sd > 1e-9 * abs(d_summary.mean):  # not a matter of rounding
            p = 2 * _t_tail(abs(d_summary.mean) / (d_summary.sd / math.sqrt(d_summary.n)), d_summary.n - 1)
            needed = pairs_needed(d_summary.mean, d_summary.sd)
        elif d_summary.mean == 0:
            p = 1.0
    return Paired(**asdict(d_summary), p=p, pairs_needed=needed)


def equivalence(d: Sequence[float], margin: float, alpha: float = ALPHA) -> Equivalence:
    """Two one-sided t tests (TOST) that the mean of paired differences lies within a margin.

    They both pass exactly when the 1 - 2 alpha interval lies inside the margin.

    Args:
        d: paired differences.
        margin: on the scale of the differences.
        alpha: level of each of the two tests.

    Raises:
        ValueError: a margin of 0 or less.

    >>> equivalence([0.1, -0.1, 0.0, 0.05, -0.05], 0.25).equivalent
    True
    """
    if not margin > 0:
        raise ValueError(f"an equivalence margin is above 0, not {margin}")
    x = _finite(d)
    if len(x) < 2:
        return Equivalence(margin, None, None, None, False)
    nearest = margin - abs(float(x.mean()))  # the one-sided test that is harder to pass
    error = float(x.std(ddof=1)) / math.sqrt(len(x))
    p = _t_tail(nearest / error, len(x) - 1) if error else float(nearest <= 0)
    return Equivalence(margin, p, *interval(x, 1 - 2 * alpha), p < alpha)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: the k-th smallest of m is multiplied by m - k + 1, never falls, and ends at 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=lambda k: p[k])
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[k]))
        adjusted[k] = highest
    return adjusted


def reached(values: Sequence[float | None], target: float, maximize: bool = True) -> tuple[int, int]:
    """``(k, n)``: the number of values that reach the target, and of all.

    Args:
        values: one a run; None, of a run that failed, does not reach it.
        target: in the metric's unit.
        maximize: whether more is better.

    >>> reached([0.98, None, 0.97], 0.975)
    (1, 3)
    """
    hits = [value for value in values if value is not None and (value >= target if maximize else value <= target)]
    return len(hits), len(values)


def pairs_needed(effect: float, sd: float, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """The smallest number of pairs (3 or more) at which a two-sided paired t test detects an effect.

    Args:
        effect: mean difference.
        sd: standard deviation of the differences.
        alpha: level of the test.
        power: probability of detection, from the noncentral t distribution.

    Returns:
        None when the effect is 0, or more than 100,000 pairs would be needed.

    >>> pairs_needed(0.05, 0.05), pairs_needed(0.01, 0.05)
    (10, 199)
    """
    if sd < 0 or not (math.isfinite(effect) and math.isfinite(sd)):
        raise ValueError("pairs_needed takes a finite effect and a spread of 0 or more")
    if effect == 0:
        return None
    if sd == 0:
        return MIN_PAIRS
    low, high = MIN_PAIRS - 1, MIN_PAIRS
    while power_of(abs(effect) / sd, high, alpha) < power:
        low, high = high, 2 * high
        if high > MOST_PAIRS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(abs(effect) / sd, middle, alpha) >= power else (middle, high)
    return high


def power_of(standardised: float, n: int, alpha: float = ALPHA) -> float:
    """Power of the two-sided paired t test.

    Args:
        standardised: effect in standard deviations of the differences.
        n: number of pairs.
        alpha: level of the test.
    """
    from scipy import stats

    critical, shift = _t_quantile(1 - alpha / 2, n - 1), standardised * math.sqrt(n)
    wrong_way = stats.nct.cdf(-critical, n - 1, shift)  # not a number where it is too small to be told from 0
    return float(stats.nct.sf(critical, n - 1, shift) + np.nan_to_num(wrong_way))


def spread_is_possible(stated: Mapping[str, Any], values: Sequence[float], digits: int) -> bool:
    """True when a stated mean and sd can come from these values (sd over n - 1 or n).

    Args:
        stated: ``mean``, and ``sd`` and ``n`` where they are stated.
        values: one a run.
        digits: decimal places to which the statement is rounded.
    """
    actual, slack = summary(values), 0.5 * 10.0**-digits * (1 + 1e-9)
    if actual.n != (stated.get("n") or actual.n) or actual.mean is None or abs(actual.mean - stated["mean"]) > slack:
        return False
    if stated.get("sd") is None or actual.sd is None:
        return (stated.get("sd") or 0.0) <= slack and (actual.sd or 0.0) <= slack
    population = actual.sd * math.sqrt((actual.n - 1) / actual.n)
    return any(abs(sd - stated["sd"]) <= slack for sd in (actual.sd, population))


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("statistics need finite values")
    return x


def _t_quantile(q: float, freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(q, freedom))


def _t_tail(t: float, freedom: int) -> float:
    from scipy import stats

    return float(stats.t.sf(t, freedom))
