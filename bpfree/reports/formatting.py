"""Numbers as people read them, and the columns of the main table: shared by the page and the plain tables."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpfree.reports.measures import COMPARED, SHOWN_TIPS
from energy.labels import is_measured

NONE = "\u2013"
Unit = Callable[[float], tuple[float, str]]  # size and name of the unit that suits a value
Cell = Callable[[Mapping[str, Any]], str]
Value = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class Column:
    """One column: ``cell(row)`` is its text, ``value(row)`` what it sorts by; ``energy``: J or derived."""

    key: str
    title: str
    tip: str
    cell: Cell
    value: Value
    energy: bool = False


def significant(value: float, digits: int = 3) -> str:
    """
    >>> significant(1234.5), significant(0.01234), significant(12.0)
    ('1,230', '0.0123', '12')
    """
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"


def joules(value: float | None, estimate: bool) -> str:
    """
    >>> joules(1234.5, False), joules(1234.5, True), joules(None, False)
    ('1,234 J', '≈ 1,200 J (est.)', 'unavailable')
    """
    if value is None:
        return "unavailable"
    size, name = joules_unit(value)
    return f"≈ {significant(value, 2)} J (est.)" if estimate else f"{significant(value / size, 4)} {name}"


def seconds(value: float | None) -> str:
    """
    >>> seconds(12.34), seconds(754.2)
    ('12.3 s', '12.6 min')
    """
    return NONE if value is None else _one(value, seconds_unit)


def size(value: float | None) -> str:
    """
    >>> size(660979712)
    '630 MiB'
    """
    return NONE if value is None else _one(value, size_unit)


def _one(value: float, unit: Unit) -> str:
    size, name = unit(value)
    return f"{significant(value / size)} {name}"


def metric(value: float | None, about: Mapping[str, Any]) -> str:
    if value is None:
        return NONE
    return f"{100 * value:.2f} %" if about["points"] else significant(value, 4)


def plus_minus(summary: Mapping[str, Any], unit: Unit, finished: int, estimate: bool = False) -> str:
    """Mean and half-width of its interval in one unit, to the interval's second digit; n where not all finished runs
    have the value, or only one does. An estimate gives the interval as a range.

    >>> found = {"n": 3, "mean": 2532.4, "low": 2450.6, "high": 2614.2}
    >>> plus_minus(found, joules_unit, 3), plus_minus(found, joules_unit, 3, estimate=True)
    ('2,532 ± 82 J', '≈ 2,500 to 2,600 J (est.)')
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
    return (1e6, "MJ") if value >= 1e7 else (1e3, "kJ") if value >= 1e5 else (1.0, "J")


def seconds_unit(value: float) -> tuple[float, str]:
    return (1.0, "s") if value < 600 else (60.0, "min") if value < 18000 else (3600.0, "h")


def size_unit(_: float) -> tuple[float, str]:
    return 2.0**20, "MiB"


def percent_unit(_: float) -> tuple[float, str]:
    return 0.01, "%"


def plain_unit(_: float) -> tuple[float, str]:
    return 1.0, ""


def columns(report: Mapping[str, Any]) -> list[Column]:
    """The columns of the main table; those that would be empty for every arm are left out."""
    about, tips = report["metric"], {**SHOWN_TIPS, **{measure.key: measure.tip for measure in COMPARED}}
    estimate = not report["energy"]["ranked"]
    on_cpu = any(row["cpu_s"]["n"] for budget in report["budgets"] for row in budget["rows"])

    def summed(key: str, title: str, unit: Unit, energy: bool = False) -> Column:
        def cell(row: Mapping[str, Any]) -> str:
            return plus_minus(row[key] or _EMPTY, unit, row["finished"], energy and estimate)

        title = f"≈\u00a0{title}" if energy and estimate else title
        return Column(key, title, tips[key], cell, lambda row: (row[key] or _EMPTY)["mean"], energy)

    def plain(key: str, title: str, cell: Cell, value: Value, energy: bool = False) -> Column:
        return Column(key, title, tips[key], cell, value, energy)

    found = [summed("test", f"Test {about['name']}", percent_unit if about["points"] else plain_unit)]
    if report["target"] is not None:
        title = f"Reached {metric(report['target'], about)}"
        found.append(plain("reached", title, _reached, lambda row: row["reached"]["k"]))
    found.append(summed("energy_j", "Energy, training", joules_unit, True))
    if report["target"] is not None:
        found.append(summed("to_target_j", "Energy to target", joules_unit, True))
    found.append(summed("all_j", "Energy, whole run", joules_unit, True))
    if report["co2e"]:
        found.append(plain("co2e_g", "CO2e (derived)", _co2e, lambda row: row["co2e_g"], True))
    return [
        *found,
        summed("train_s", "Time, training", seconds_unit),
        *([summed("cpu_s", "CPU time, training", seconds_unit)] if on_cpu else []),
        summed("live_bytes", "Working memory", size_unit),
        summed("peak_bytes", "Peak memory", size_unit),
        summed("data_passes", "Data passes", plain_unit),
        plain("converged", "Converged", _converged, lambda row: row["converged"]),
        plain("trained", "Parameters trained, used", _parameters, lambda row: (row["parameters"] or {}).get("trained")),
    ]


_EMPTY = {"mean": None, "low": None, "n": 0}


def _converged(row: Mapping[str, Any]) -> str:
    return f"{row['converged']} of {row['finished']}"


def _reached(row: Mapping[str, Any]) -> str:
    return f"{row['reached']['k']} of {row['reached']['n']}"


def _parameters(row: Mapping[str, Any]) -> str:
    counts = row["parameters"] or {}
    return ", ".join(NONE if counts.get(key) is None else f"{counts[key]:,}" for key in ("trained", "inference"))


def _co2e(row: Mapping[str, Any]) -> str:
    if row["co2e_g"] is None:
        return NONE
    return f"{'≈ ' if row['estimate'] else ''}{significant(row['co2e_g'], 2)} g"


def search(found: Mapping[str, Any]) -> str:
    """What a search took, and what it found.

    >>> search({"trials": 8, "cost": {"data_passes": 40.0, "train_s": 88.79}, "params": {"lr": 0.00030655}})
    '8 trials, 40 data passes, 88.8 s of training; found lr 0.000307'
    """
    cost, chosen = found.get("cost") or {}, found.get("params") or {}
    parts = [f"{found.get('trials')} trials"]
    if cost.get("data_passes") is not None:
        parts.append(f"{significant(cost['data_passes'])} data passes")
    if cost.get("train_s") is not None:
        parts.append(f"{seconds(cost['train_s'])} of training")
    if cost.get("energy_j") is not None:
        parts.append(joules(cost["energy_j"], not is_measured(cost.get("method", ""))))
    text = [f"{key} {significant(v) if isinstance(v, float) else v}" for key, v in chosen.items()]
    return ", ".join(parts) + (f"; found {', '.join(text)}" if text else "")


def beside(report: Mapping[str, Any]) -> list[str]:
    """What the time and the memory of the table include: beside the joules, whose boundary the meter states."""
    lines = ["Times are those of the training windows: validation, checkpoints and loading are apart."]
    if any(row["live_bytes"]["n"] for budget in report["budgets"] for row in budget["rows"]):
        lines.append(
            "Working memory counts the tensors that the second step of every phase makes, a cached prefix and the end "
            "of its first epoch; not parameters, optimizer state, data, validation and scratch space of one operation."
        )
    return lines


def runs_of(row: Mapping[str, Any]) -> str:
    failed = len(row["failed"])
    return f"{row['finished']} of {row['planned']}" + (f", {failed} failed" if failed else "")


def span(pair: Sequence[float] | None, unit: str) -> str:
    if not pair:
        return NONE
    low, high = (significant(value) for value in pair)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def note(report: Mapping[str, Any], budget: Mapping[str, Any]) -> str:
    """What has to stand at every table: a draft, a quick study, an energy that was not measured."""
    notes = []
    if report["fake"]:
        notes.append("DRAFT: energy from a test double, not a measurement")
    if budget["note"]:
        notes.append(f"quick study: {budget['note']}")
    if not report["energy"]["ranked"]:
        notes.append(f"energy is not measured ({report['energy']['method']}) and not ranked")
    return "; ".join(notes)
