"""The report without a browser: Markdown, CSV and LaTeX, from ``report.json`` alone."""

import csv
import io
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from bpfree.reports import formatting
from bpfree.reports.columns import boundary_notes, caption_note, runs_of, table_columns, voided

Report = Mapping[str, Any]
HASHES = ("config_sha256", "record_sha256", "predictions_sha256")
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
    lines = [f"# {report['name']}", "", *([report["question"], ""] if report["question"] else [])]
    lines += [f"> **Fault:** {fault['text']}. {voided(fault)}" for fault in report["faults"]]
    lines += [f"> **Warning:** {text}" for text in report["warnings"]]
    lines += ["", "## Verdicts", ""]
    lines += [f"- {line['text']}" + (f" ({line['budget']})" if line["budget"] else "") for line in report["verdicts"]]
    for budget in report["budgets"]:
        lines += ["", f"## Results: {budget['name']}", ""]
        lines += [f"{_sentence(caption_note(report, budget))}.", ""] if caption_note(report, budget) else []
        heads, rows = cells(report, budget)
        lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines += ["", "Mean ± half the 95 % t interval (n runs).", "", "## Inside the measurement", ""]
    for part in report["boundary"]:
        detail = part["reason"] if part["method"] == "unavailable" else f"{part['boundary']}; {part['source']}"
        lines.append(f"- {part['component']}: {part['method']}{'' if part['counted'] else ', not counted'} ({detail})")
    lines += ["", *boundary_notes(report)]
    searched = [arm for arm in report["arms"] if arm["search"]]
    lines += ["", "## Search for settings", "", "Its cost is apart: it is in no number above.", ""] if searched else []
    lines += [f"- {arm['name']}: {formatting.search(arm['search'])}" for arm in searched]
    failed = [run for run in report["runs"] if run["status"] in ("failed", "stopped")]
    lines += ["", "## Runs that did not finish", ""] if failed else []
    lines += [f"- {run['arm']}, seed {run['seed']}, {run['budget']}: {run['error'] or run['status']}" for run in failed]
    lines += ["", "## Provenance", ""]
    lines += [f"- {key}: {'; '.join(values)}" for key, values in report["provenance"].items() if values]
    return "\n".join(lines) + "\n"


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
                summary = row[key] or dict.fromkeys(_INTERVAL)
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
    named = "budget arm seed order status error test val energy_j all_j train_s cpu_s live_bytes peak_bytes data_passes"
    keys = (*named.split(), "epochs", "resumes", "energy_left_out", *HASHES)
    notes = {budget["name"]: caption_note(report, budget) for budget in report["budgets"]}
    rows = [[*(run.get(key) for key in keys), notes.get(run["budget"], "")] for run in report["runs"]]
    return _csv([*keys, "note"], rows)


def latex(report: Report) -> str:
    """A ``table`` for each budget, with booktabs rules."""
    parts = [f"% {report['name']}: needs \\usepackage{{booktabs}}"]
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


def _tex(text: str) -> str:
    escaped = "".join(_LATEX.get(c, c) for c in text)
    for symbol, command in _SYMBOLS.items():
        escaped = escaped.replace(symbol, command)
    return escaped


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return out.getvalue()
