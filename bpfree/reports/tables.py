"""The report without a browser: Markdown, CSV and LaTeX, from ``report.json`` alone."""

import csv
import io
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from bpfree.reports import formatting, other_metrics
from bpfree.reports.columns import boundary_notes, caption_note, runs_of, table_columns, voided
from bpfree.reports.results import MEANS

Report = Mapping[str, Any]
HASHES = ("config_sha256", "record_sha256", "predictions_sha256")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKUP = re.compile(r"[\\`*_\[\]|#!~]")
_INTERVAL = ("n", "mean", "sd", "low", "high", "boot_low", "boot_high")
_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_SYMBOLS = {"±": r"$\pm$", "≈": r"$\approx$", "\u2212": r"$-$", "\u2013": "--"}


def markdown(report: Report) -> str:
    """The report as Markdown."""
    lines = [f"# {_md(report['name'])}", "", *([_md(report["question"]), ""] if report["question"] else [])]
    lines += [f"> **Fault:** {_md(fault['text'])}. {voided(fault)}" for fault in report["faults"]]
    lines += [f"> **Warning:** {_md(text)}" for text in report["warnings"]]
    lines += ["", "## Verdicts", ""]
    at = [f" ({line['budget']})" if line["budget"] else "" for line in report["verdicts"]]
    lines += ["- " + _md(line["text"] + where) for line, where in zip(report["verdicts"], at, strict=True)]
    for budget in report["budgets"]:
        lines += ["", f"## Results: {_md(budget['name'])}", ""]
        lines += [f"{_sentence(caption_note(report, budget))}.", ""] if caption_note(report, budget) else []
        lines += _md_table(*cells(report, budget))
        arms, rows = budget["settings"]["arms"], budget["settings"]["rows"]
        lines += ["", "### Settings of the arms", ""] if rows else []
        lines += _md_table(["setting", *arms], [[name, *texts] for name, texts in rows.items()]) if rows else []
        lines += ["", "### Memory against the best way to run backprop", ""] if budget["memory"] else []
        lines += [
            "- " + _md(" ".join(filter(None, (answer["memory"], answer["time"], answer["cost"]))))
            for answer in budget["memory"]
        ]
        if beside := budget.get("other_metrics"):
            lines += ["", "### Other metrics", "", *_md_table(*other_metrics.table(beside))]
            shares = other_metrics.recalls(beside)
            lines += ["", "### Recall of each class", "", *_md_table(*shares)] if shares else []
    lines += ["", "Mean ± half the 95 % t interval (n runs).", "", "## Inside the measurement", ""]
    for part in report["boundary"]:
        detail = part["reason"] if part["method"] == "unavailable" else f"{part['boundary']}; {part['source']}"
        counted = "" if part["counted"] else ", not counted"
        lines.append("- " + _md(f"{part['component']}: {part['method']}{counted} ({detail})"))
    lines += ["", *boundary_notes(report)]
    searched = [arm for arm in report["arms"] if arm["search"]]
    lines += ["", "## Search for settings", "", "Its cost is apart: it is in no number above.", ""] if searched else []
    lines += ["- " + _md(f"{arm['name']}: {formatting.search(arm['search'])}") for arm in searched]
    failed = [run for run in report["runs"] if run["status"] in ("failed", "stopped")]
    lines += ["", "## Runs that did not finish", ""] if failed else []
    lines += [
        "- " + _md(f"{run['arm']}, seed {run['seed']}, {run['budget']}: {run['error'] or run['status']}")
        for run in failed
    ]
    lines += ["", "## Provenance", ""]
    lines += ["- " + _md(f"{key}: {'; '.join(values)}") for key, values in report["provenance"].items() if values]
    return "\n".join(lines) + "\n"


def _md_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(map(_md, heads)) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(map(_md, row)) + " |" for row in rows]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def cells(report: Report, budget: Report, only: Container[str] = ()) -> tuple[list[str], list[list[str]]]:
    """A budget's results as text.

    Args:
        report: as in ``report.json``.
        budget: one of its budgets.
        only: keys of the columns to show; empty: all.

    Returns:
        Heads of the columns, and a row of cells for each arm.
    """
    columns = [column for column in table_columns(report) if not only or column.key in only]
    rows = [[row["arm"], runs_of(row), *(column.cell(row) for column in columns)] for row in budget["rows"]]
    return ["arm", "runs", *(column.title for column in columns)], rows


def results_csv(report: Report) -> str:
    """One line an arm, budget and measure, in SI units; None is empty."""
    keys = (
        "test",
        "balanced_accuracy",
        "val",
        "energy_j",
        "all_j",
        "to_target_j",
        "train_s",
        "cpu_s",
        "live_bytes",
        "peak_bytes",
        "data_passes",
    )
    head = ["budget", "arm", "measure", *_INTERVAL, "method", "note"]
    rows = []
    for budget in report["budgets"]:
        for row in budget["rows"]:
            for key in keys:
                summary = row.get(key) or dict.fromkeys(_INTERVAL)
                method = row["method"] if key.endswith("_j") else ""
                numbers = [summary[k] for k in _INTERVAL]
                rows.append([budget["name"], row["arm"], key, *numbers, method, caption_note(report, budget)])
    return _csv(head, rows)


def comparisons_csv(report: Report) -> str:
    """One line a comparison; differences of ratios are natural logarithms."""
    keys = (
        "budget",
        "measure",
        "a",
        "b",
        "scale",
        *_INTERVAL,
        "p",
        "p_holm",
        "family",
        "pairs_needed",
        "verdict",
        "because",
    )
    notes = {budget["name"]: caption_note(report, budget) for budget in report["budgets"]}
    rows = [[*(c[key] for key in keys), notes[c["budget"]]] for c in report["comparisons"]]
    return _csv([*keys, "note"], rows)


def runs_csv(report: Report) -> str:
    """One line a run."""
    named = ("budget", "arm", "seed", "order", "status", "error")
    keys = (*named, *MEANS, "epochs", "resumes", "energy_left_out", *HASHES)
    notes = {budget["name"]: caption_note(report, budget) for budget in report["budgets"]}
    rows = [[*(run.get(key) for key in keys), notes.get(run["budget"], "")] for run in report["runs"]]
    return _csv([*keys, "note"], rows)


def latex(report: Report) -> str:
    """A ``table`` for each budget, with booktabs rules."""
    parts = [f"% {_line(report['name'])}: needs \\usepackage{{booktabs}}"]
    for budget in report["budgets"]:
        heads, rows = cells(report, budget)
        caption = f"{report['name']}, {budget['name']}: mean and half the 95 % t interval over n runs."
        if caption_note(report, budget):
            caption += f" {_sentence(caption_note(report, budget))}."
        parts += [
            "\\begin{table}",
            f"\\caption{{{_tex(caption)}}}",
            f"\\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}",
            "\\toprule",
            " & ".join(map(_tex, heads)) + " \\\\",
            "\\midrule",
            *(" & ".join(map(_tex, row)) + " \\\\" for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
    return "\n".join(parts) + "\n"


def _line(text: Any) -> str:
    """Text of a file from elsewhere, in one line: a line break would end a comment, a quotation or a row."""
    return " ".join(str(text).split())


def _md(text: Any) -> str:
    """Text that Markdown shows as it is: no markup, no table cell, no HTML."""
    return _MARKUP.sub(r"\\\g<0>", _line(text)).replace("<", "&lt;").replace(">", "&gt;")


def _tex(text: str) -> str:
    escaped = "".join(_LATEX.get(c, c) for c in _line(text))
    for symbol, command in _SYMBOLS.items():
        escaped = escaped.replace(symbol, command)
    return escaped


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()
