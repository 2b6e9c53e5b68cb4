"""Numbers as people read them: with units, signs, and no more digits than they are worth."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from energy.labels import is_measured

NONE, MINUS = "\u2013", "\u2212"
Unit = Callable[[float], tuple[float, str]]  # size and name of the unit that suits a value


def significant(value: float, digits: int = 3) -> str:
    """A number as text, large ones with separators.

    Args:
        value: the number.
        digits: significant ones.

    >>> significant(1234.5), significant(0.01234), significant(12.0)
    ('1,230', '0.0123', '12')
    """
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"


def joules(value: float | None, estimate: bool) -> str:
    """An energy as text.

    Args:
        value: in J; None: unavailable.
        estimate: write two digits, marked as an estimate.

    >>> joules(1234.5, False), joules(1234.5, True), joules(None, False)
    ('1,234 J', '≈ 1,200 J (est.)', 'unavailable')
    """
    if value is None:
        return "unavailable"
    size, name = joules_unit(value)
    return f"≈ {significant(value, 2)} J (est.)" if estimate else f"{significant(value / size, 4)} {name}"


def seconds(value: float | None) -> str:
    """A time in s, in the unit that suits it.

    >>> seconds(12.34), seconds(754.2)
    ('12.3 s', '12.6 min')
    """
    return NONE if value is None else _one(value, seconds_unit)


def size(value: float | None) -> str:
    """A number of bytes in MiB.

    >>> size(660979712)
    '630 MiB'
    """
    return NONE if value is None else _one(value, size_unit)


def _one(value: float, unit: Unit) -> str:
    size, name = unit(value)
    return f"{significant(value / size)} {name}"


def metric(value: float | None, about: Mapping[str, Any]) -> str:
    """A value of a metric as text.

    Args:
        value: of the metric; None: there is none.
        about: ``metric`` of the report, which says whether it is shown in percent.
    """
    if value is None:
        return NONE
    return f"{100 * value:.2f} %" if about["points"] else significant(value, 4)


def plus_minus(summary: Mapping[str, Any], unit: Unit, finished: int, estimate: bool = False) -> str:
    """Mean and half-width of its interval in one unit, to the interval's second digit.

    >>> energy = {"n": 3, "mean": 2532.4, "low": 2450.6, "high": 2614.2}
    >>> plus_minus(energy, joules_unit, 3), plus_minus(energy, joules_unit, 3, estimate=True)
    ('2,532 ± 82 J', '≈ 2,500 to 2,600 J (est.)')

    Args:
        summary: ``n``, ``mean``, ``low`` and ``high`` of the values.
        unit: size and name of the unit that suits the mean.
        finished: number of finished runs; n is written where it is another number, or 1.
        estimate: write the interval as a range, marked as an estimate.
    """
    if summary["mean"] is None:
        return NONE
    size, name = unit(summary["mean"])
    n = "" if summary["n"] == finished > 1 else f" (n = {summary['n']})"
    mean = summary["mean"] / size
    half = 0.0 if summary["low"] is None else (summary["high"] - summary["low"]) / 2 / size
    if estimate:
        ends = dict.fromkeys(significant(max(x, 0.0), 2) for x in (mean - half, mean + half))
        return f"≈ {' to '.join(ends)} {name} (est.){n}"
    if half <= 1e-9 * abs(mean):
        none = "" if summary["low"] is None else " ± 0"
        return f"{significant(mean, 4)}{none} {name}".rstrip() + n
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:,.{digits}f} ± {half:,.{digits}f} {name}".rstrip() + n


def joules_unit(value: float) -> tuple[float, str]:
    """J, kJ or MJ, as suits a value."""
    return (1e6, "MJ") if value >= 1e7 else (1e3, "kJ") if value >= 1e5 else (1.0, "J")


def seconds_unit(value: float) -> tuple[float, str]:
    """s, min or h, as suits a value."""
    return (1.0, "s") if value < 600 else (60.0, "min") if value < 18000 else (3600.0, "h")


def size_unit(_: float) -> tuple[float, str]:
    """MiB, whatever the value."""
    return 2.0**20, "MiB"


def percent_unit(_: float) -> tuple[float, str]:
    """Percent, whatever the value."""
    return 0.01, "%"


def plain_unit(_: float) -> tuple[float, str]:
    """No unit, whatever the value."""
    return 1.0, ""


def search(result: Mapping[str, Any]) -> str:
    """A search for settings in words: its trials, their cost, and the settings that it led to.

    >>> search({"trials": 8, "cost": {"data_passes": 40.0, "train_s": 88.79}, "params": {"lr": 0.00030655}})
    '8 trials, 40 data passes, 88.8 s of training; found lr 0.000307'
    """
    cost, params = result.get("cost") or {}, result.get("params") or {}
    parts = [f"{result.get('trials')} trials"]
    if cost.get("data_passes") is not None:
        parts.append(f"{significant(cost['data_passes'])} data passes")
    if cost.get("train_s") is not None:
        parts.append(f"{seconds(cost['train_s'])} of training")
    if cost.get("energy_j") is not None:
        parts.append(joules(cost["energy_j"], not is_measured(cost.get("method", ""))))
    text = [f"{key} {significant(v) if isinstance(v, float) else v}" for key, v in params.items()]
    return ", ".join(parts) + (f"; found {', '.join(text)}" if text else "")


def span(pair: Sequence[float] | None, unit: str) -> str:
    """A range as text.

    Args:
        pair: lowest and highest value; None: there is none.
        unit: of both.
    """
    if not pair:
        return NONE
    low, high = (significant(value) for value in pair)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def change(c: Mapping[str, Any], d: float) -> str:
    """A signed difference: in percent, points, or the metric's own unit.

    Args:
        c: the comparison, whose ``scale`` and ``points`` say which.
        d: the difference, or the natural logarithm of the ratio.

    >>> change({"scale": "difference", "points": True}, -0.0123), change({"scale": "ratio", "points": False}, 0.0)
    ('−1.23', '0.00 %')
    """
    if c["scale"] == "ratio":
        return _signed(100 * math.expm1(d)) + " %"
    return _signed(100 * d) if c["points"] else _sign(d, f"{abs(d):.3g}")


def unsigned(text: str) -> str:
    """A difference without its sign."""
    return text.lstrip("+" + MINUS)


def _signed(value: float) -> str:
    size = abs(value)
    return _sign(value, f"{size:.2f}" if size < 10 else f"{size:.1f}" if size < 100 else f"{size:,.0f}")


def _sign(value: float, text: str) -> str:
    """``text``, the size of ``value``, signed unless it says zero."""
    sign = "" if float(text.replace(",", "")) == 0 else MINUS if value < 0 else "+"
    return sign + text
