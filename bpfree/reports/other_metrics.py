"""Metrics beside the one that models are selected by: means over the seeds, and which classes are taken for which."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from bpfree.functional.metrics import NAMES
from bpfree.reports import formatting, statistics
from bpfree.reports.measures import beside
from bpfree.reports.study import Run, Study

MOST_CLASSES = 20  # whose counts are written; of more there is a picture of the matrix


def other_metrics(study: Study, budget: str) -> list[dict[str, Any]]:
    """The other metrics of each arm whose records have them.

    Args:
        study: with the records of its runs.
        budget: of the runs.

    Returns:
        For each arm: ``finished`` runs; ``means``, by metric the summary over its seeds; ``confusion``, the matrix
        summed over the seeds, and ``recall``, a summary for each class (None: no matrix, or unlike numbers of classes);
        ``classes``, their names.
    """
    rows = []
    for arm in study.arms:
        done = [run for run in study.of(arm, budget) if run.finished and beside(run)]
        if done:
            rows.append({"arm": arm, "finished": len(done), "means": _means(done), **_by_class(done)})
    return rows


def _means(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    values = {name: [v for run in runs if (v := _number(beside(run).get(name))) is not None] for name in NAMES}
    return {name: asdict(statistics.summary(numbers)) for name, numbers in values.items() if numbers}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _by_class(runs: Sequence[Run]) -> dict[str, Any]:
    counts = [np.array(matrix, np.int64) for run in runs if (matrix := beside(run).get("confusion"))]
    if len(counts) < len(runs) or len({len(matrix) for matrix in counts}) != 1:
        return {"confusion": None, "recall": None, "classes": None}
    rows = [matrix.sum(1) for matrix in counts]
    recall = [
        asdict(statistics.summary([m[c, c] / n[c] for m, n in zip(counts, rows, strict=True) if n[c]]))
        for c in range(len(counts[0]))
    ]
    names = (runs[0].record or {})["data"].get("class_names")
    classes = list(map(str, names if names and len(names) == len(recall) else range(len(recall))))
    return {"confusion": sum(counts).tolist(), "recall": recall, "classes": classes}  # type: ignore[union-attr]


def table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The means as text.

    Args:
        rows: as `other_metrics` returns them.

    Returns:
        Heads of the columns, and a row of cells for each arm.
    """
    names = [name for name in NAMES if any(name in row["means"] for row in rows)]
    body = [[row["arm"], *(_cell(row["means"].get(name), name, row["finished"]) for name in names)] for row in rows]
    return ["arm", *(NAMES[name] for name in names)], body


def recalls(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]] | None:
    """The share of each class's rows that is predicted right, as text; None where no arm has a confusion matrix.

    Args:
        rows: as `other_metrics` returns them.

    Returns:
        Heads of the columns, and a row of cells for each class.
    """
    known = [row for row in rows if row["confusion"]]
    if not known or len({tuple(row["classes"]) for row in known}) != 1:
        return None
    body = [
        [name, *(_cell(row["recall"][c], "recall", row["finished"]) for row in known)]
        for c, name in enumerate(known[0]["classes"])
    ]
    return ["class", *(row["arm"] for row in known)], body


def _cell(summary: Mapping[str, Any] | None, name: str, finished: int) -> str:
    percent = name == "recall" or name.endswith(("accuracy", "share"))
    if summary is None:
        return formatting.NONE
    return formatting.plus_minus(summary, lambda _: (0.01, "%") if percent else (1.0, ""), finished)


def section(budget: Mapping[str, Any]) -> str:
    """The folded part of the page with the other metrics and the confusion matrices; "" where no record has them.

    Args:
        budget: one of the report's.
    """
    rows = budget.get("other_metrics")
    if not rows:
        return ""
    matrices = "".join(_matrix(row) for row in rows if row["confusion"])
    shares = recalls(rows)
    by_class = ""
    if shares:
        by_class = f"<h4>Recall: share of a class's rows that is predicted right</h4>{_html(*shares)}"
    if matrices:
        by_class += (
            "<h4>Rows of each class (down) by the class predicted (across), summed over the runs; stronger is a larger "
            f'share of the row</h4><div class="grid2">{matrices}</div>'
        )
    return f"<details><summary>Other metrics, and each class</summary>{_html(*table(rows))}{by_class}</details>"


def _html(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(_capital(text))}</th>' for text in head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in body)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _matrix(row: Mapping[str, Any]) -> str:
    counts, classes = row["confusion"], row["classes"]
    written = len(classes) <= MOST_CLASSES
    lines = []
    for name, line in zip(classes, counts, strict=True):
        total = sum(line) or 1
        cells = "".join(
            f'<td class="h{round(10 * count / total)}" title="{escape(name)} as {escape(other)}: {count:,}">'
            f"{f'{count:,}' if written else ''}</td>"
            for other, count in zip(classes, line, strict=True)
        )
        lines.append(f'<tr><th scope="row">{escape(name) if written else ""}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes) if written else ""
    caption = f"{escape(row['arm'])} (n = {row['finished']})"
    size = "confusion" if written else "confusion many"
    head = f"<thead><tr><td></td>{heads}</tr></thead>" if written else ""
    return (
        f'<div class="wide"><table class="{size}"><caption><span>{caption}</span></caption>'
        f"{head}<tbody>{''.join(lines)}</tbody></table></div>"
    )
