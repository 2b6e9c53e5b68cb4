"""Numbers as people read them, and the columns of the main table: shared by the page and the plain tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energy.report.measures import COMPARED, SHOWN_TIPS

NONE = "\u2013"


@dataclass(frozen=True)
class Column:
    """One column: ``cell(row)`` is its text, ``value(row)`` what it sorts by; ``energy``: J or derived."""

    key: str
    title: str
    tip: str
    cell: Callable[[Mapping[str, Any]], str]
    value: Callable[[Mapping[str, Any]], float | None]
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
    >>> joules(1234.5, False), joules(1234.5, True)
    ('1,234 J', '≈ 1,200 J (est.)')
    """
    if value is None:
        return "unavailable"
    if estimate:
        return f"≈ {significant(value, 2)} J (est.)"
    for unit, size in (("MJ", 1e7), ("kJ", 1e4)):
        if abs(value) >= size:
            return f"{significant(value / size * 10, 4)} {unit}"
    return f"{significant(value, 4)} J"


def seconds(value: float | None) -> str:
    """
    >>> seconds(12.34), seconds(754.2)
    ('12.3 s', '12.6 min')
    """
    if value is None:
        return NONE
    return (
        f"{significant(value)} s"
        if value < 120
        else f"{significant(value / 60)} min"
        if value < 7200
        else f"{significant(value / 3600)} h"
    )


def size(value: float | None) -> str:
    """
    >>> size(660979712)
    '630 MiB'
    """
    return NONE if value is None else f"{significant(value / 2**20)} MiB"


def metric(value: float | None, about: Mapping[str, Any]) -> str:
    if value is None:
        return NONE
    return f"{100 * value:.2f} %" if about["points"] else significant(value, 4)


def plus_minus(summary: Mapping[str, Any], text: Callable[[float | None], str]) -> str:
    """Mean, half-width of its interval and n: "98.53 % ± 0.12 % (n = 5)"; a single run says so."""
    if summary["mean"] is None:
        return text(None)
    if summary["low"] is None:
        return f"{text(summary['mean'])} (n = {summary['n']})"
    return f"{text(summary['mean'])} ± {text(summary['high'] - summary['mean'])} (n = {summary['n']})"


def columns(report: Mapping[str, Any]) -> list[Column]:
    """The columns of the main table; those that would be empty for every arm are left out."""
    about, tips = report["metric"], {measure.key: measure for measure in COMPARED}
    estimate = not report["energy"]["ranked"]

    def of(key: str, title: str, text: Callable[[float | None], str], energy: bool = False) -> Column:
        tip = tips[key].tip if key in tips else SHOWN_TIPS[key]
        return Column(
            key,
            title,
            tip,
            lambda row: plus_minus(row[key] or _EMPTY, text),
            lambda row: (row[key] or _EMPTY)["mean"],
            energy,
        )

    def energy_text(value: float | None) -> str:
        return joules(value, estimate)

    label = "≈ " if estimate else ""
    found = [
        of("test", f"Test {about['name']}", lambda value: metric(value, about)),
        of("energy_j", f"{label}Energy, training", energy_text, True),
        of("all_j", f"{label}Energy, whole run", energy_text, True),
        of("train_s", "Time, training", seconds),
        of("peak_bytes", "Peak memory", size),
        of("data_passes", "Data passes", lambda value: NONE if value is None else significant(value)),
        Column("converged", "Converged", SHOWN_TIPS["converged"], _converged, lambda row: row["converged"]),
        Column(
            "trained",
            "Parameters: trained, used",
            SHOWN_TIPS["trained"],
            _parameters,
            lambda row: (row["parameters"] or {}).get("trained"),
        ),
    ]
    if report["target"] is not None:
        found.insert(
            1,
            Column(
                "reached",
                f"Reached {metric(report['target'], about)}",
                SHOWN_TIPS["reached"],
                _reached,
                lambda row: row["reached"]["k"],
            ),
        )
        found.insert(3, of("to_target_j", f"{label}Energy to target", energy_text, True))
    if report["co2e"]:
        found.insert(
            -3, Column("co2e_g", "CO2e (derived)", SHOWN_TIPS["co2e_g"], _co2e, lambda row: row["co2e_g"], True)
        )
    return found


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
        notes.append(f"energy is {report['energy']['method']}, not measured, and not ranked")
    return "; ".join(notes)
