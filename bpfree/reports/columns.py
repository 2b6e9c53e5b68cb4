"""Columns of the main table, shared by the page and the plain tables, and the notes that stand at it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bpfree.reports import formatting
from bpfree.reports.measures import COMPARED, SHOWN_TIPS

Cell = Callable[[Mapping[str, Any]], str]
Value = Callable[[Mapping[str, Any]], float | None]
_EMPTY = {"mean": None, "low": None, "n": 0}


@dataclass(frozen=True)
class Column:
    """One column of the main table.

    Attributes:
        key: of the row's value.
        title: its head.
        tip: its explanation.
        cell: row -> text.
        value: row -> number to sort by.
        energy: whether it shows joules, or something derived from them.
    """

    key: str
    title: str
    tip: str
    cell: Cell
    value: Value
    energy: bool = False


def table_columns(report: Mapping[str, Any]) -> list[Column]:
    """The columns of the main table; those that would be empty for every arm are left out."""
    about, tips = report["metric"], {**SHOWN_TIPS, **{measure.key: measure.tip for measure in COMPARED}}
    estimate = not report["energy"]["ranked"]
    on_cpu = any(row["cpu_s"]["n"] for budget in report["budgets"] for row in budget["rows"])

    def summed(key: str, title: str, unit: formatting.Unit, energy: bool = False) -> Column:
        def cell(row: Mapping[str, Any]) -> str:
            return formatting.plus_minus(row[key] or _EMPTY, unit, row["finished"], energy and estimate)

        title = f"≈\u00a0{title}" if energy and estimate else title
        return Column(key, title, tips[key], cell, lambda row: (row[key] or _EMPTY)["mean"], energy)

    def plain(key: str, title: str, cell: Cell, value: Value, energy: bool = False) -> Column:
        return Column(key, title, tips[key], cell, value, energy)

    unit = formatting.percent_unit if about["points"] else formatting.plain_unit
    shown = [summed("test", f"Test {about['name']}", unit)]
    if about.get("majority_share") is not None:
        shown.append(summed("balanced_accuracy", "Balanced accuracy", unit))
    if report["target"] is not None:
        title = f"Reached {formatting.metric(report['target'], about)}"
        shown.append(plain("reached", title, _reached, lambda row: row["reached"]["k"]))
    shown.append(summed("energy_j", "Energy, training", formatting.joules_unit, True))
    if report["target"] is not None:
        shown.append(summed("to_target_j", "Energy to target", formatting.joules_unit, True))
    shown.append(summed("all_j", "Energy, whole run", formatting.joules_unit, True))
    if report["co2e"]:
        shown.append(plain("co2e_g", "CO2e (derived)", _co2e, lambda row: row["co2e_g"], True))
    return [
        *shown,
        summed("train_s", "Time, training", formatting.seconds_unit),
        *([summed("cpu_s", "CPU time, training", formatting.seconds_unit)] if on_cpu else []),
        summed("live_bytes", "Working memory", formatting.size_unit),
        summed("peak_bytes", "Peak memory", formatting.size_unit),
        summed("data_passes", "Data passes", formatting.plain_unit),
        plain("converged", "Converged", _converged, lambda row: row["converged"]),
        plain("trained", "Parameters trained, used", _parameters, lambda row: (row["parameters"] or {}).get("trained")),
    ]


def _converged(row: Mapping[str, Any]) -> str:
    return f"{row['converged']} of {row['finished']}"


def _reached(row: Mapping[str, Any]) -> str:
    return f"{row['reached']['k']} of {row['reached']['n']}"


def _parameters(row: Mapping[str, Any]) -> str:
    counts = row["parameters"] or {}
    return ", ".join(
        formatting.NONE if counts.get(key) is None else f"{counts[key]:,}" for key in ("trained", "inference")
    )


def _co2e(row: Mapping[str, Any]) -> str:
    if row["co2e_g"] is None:
        return formatting.NONE
    return f"{'≈ ' if row['estimate'] else ''}{formatting.significant(row['co2e_g'], 2)} g"


def boundary_notes(report: Mapping[str, Any]) -> list[str]:
    """Boundaries of the table's times and memory, in sentences; the meter states that of the joules."""
    lines = ["Times are those of the training windows: validation, checkpoints and loading are apart."]
    if any(row["live_bytes"]["n"] for budget in report["budgets"] for row in budget["rows"]):
        lines.append(
            "Working memory counts the tensors that the second step of every phase makes, a cached prefix and the end "
            "of its first epoch; not parameters, optimizer state, data, validation and scratch space of one operation."
        )
    return lines


def voided(fault: Mapping[str, Any]) -> str:
    """The claims that a fault voids, in a sentence; "" for a report that does not say.

    Args:
        fault: as in ``report.json``.
    """
    nouns = [measure.noun for measure in COMPARED if measure.key in fault["measures"]]
    return f"Void: every claim on {', '.join(nouns)} that it touches." if nouns else ""


def runs_of(row: Mapping[str, Any]) -> str:
    """Finished, planned and failed runs of an arm."""
    failed = len(row["failed"])
    return f"{row['finished']} of {row['planned']}" + (f", {failed} failed" if failed else "")


def caption_note(report: Mapping[str, Any], budget: Mapping[str, Any]) -> str:
    """The conditions that stand at every table: a draft, a quick study, an energy that was not measured.

    Args:
        report: as in ``report.json``.
        budget: the one of the table.
    """
    notes = []
    if report["fake"]:
        notes.append("DRAFT: energy from a test double, not a measurement")
    if budget["note"]:
        notes.append(f"quick study: {budget['note']}")
    if (share := report["metric"].get("majority_share")) is not None:
        notes.append(f"the most frequent class alone gives {formatting.metric(share, report['metric'])} accuracy")
    if not report["energy"]["ranked"]:
        notes.append(f"energy is not measured ({report['energy']['method']}) and not ranked")
    return "; ".join(notes)
