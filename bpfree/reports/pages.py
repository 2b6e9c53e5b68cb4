"""The page: ``report.json`` to one HTML file that needs nothing else, neither network nor server."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from bpfree.reports import charts, details, other_metrics
from bpfree.reports.columns import caption_note, runs_of, table_columns, voided
from bpfree.reports.measures import COMPARED

Report = Mapping[str, Any]
_WORDS = {
    "difference": "Difference",
    "equivalent": "Equivalent",
    "cannot conclude": "Cannot conclude",
    "aa": "Noise",
}
_HATCH = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="3" height="7" fill="var(--paper)" fill-opacity=".55"/></pattern></defs></svg>'
)


def page(report: Report) -> str:
    """The HTML of a report."""
    templates = resources.files("bpfree.reports") / "templates"
    css, js = ((templates / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    data = json.dumps(report, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(report["name"])}</title><link rel="icon" href="data:,"><style>{css}</style></head>\n<body>\n'
        + "\n".join(filter(None, _sections(report)))
        + '\n<div id="tooltip" role="tooltip" hidden></div>\n'
        f'<script type="application/json" id="report">{data}</script>\n<script>{js}</script>\n</body></html>\n'
    )


def _sections(report: Report) -> Iterable[str]:
    yield _header(report)
    yield _notes(report)
    yield _verdicts(report)
    yield _HATCH
    for number, budget in enumerate(report["budgets"]):
        yield f"<h2>Results: {escape(budget['name'])}</h2>"
        yield _table(report, budget, number)
        yield details.settings(budget)
        yield details.memory(budget)
        yield other_metrics.section(budget)
        yield charts.legend(report)
        yield '<div class="grid2">' + "".join(_figures(report, budget)) + "</div>"
    if drawn := charts.depth(report):
        figure = _figure("Working memory", "Mean of the runs of a depth.", drawn)
        yield f'<h2>Memory against depth</h2><div class="grid2">{figure}</div>'
    yield details.boundary(report)
    yield details.meter(report)
    yield details.search(report)
    yield details.failed(report)
    yield details.runs(report)
    yield details.provenance(report)
    yield details.glossary(report)


def _header(report: Report) -> str:
    seeds = f"{len(report['seeds'])} seed{'s' if len(report['seeds']) != 1 else ''}"
    data = report["data"] if isinstance(report["data"], str) else ", ".join(map(str, report["data"] or []))
    parts = [f"{len(report['arms'])} arms", seeds, data, report["quick_note"], (report["created"] or "")[:10]]
    question = f"<p>{escape(report['question'])}</p>" if report["question"] else ""
    return (
        f"<header><div><h1>{escape(report['name'])}</h1>{question}"
        f'<p class="soft">{escape(" · ".join(filter(None, parts)))}</p></div>'
        '<button id="theme" type="button" hidden>Dark theme</button></header>'
    )


def _notes(report: Report) -> str:
    lines = [("fault", "Fault", f"{fault['text']}. {voided(fault)}") for fault in report["faults"]]
    lines += [("warning", "Warning", text) for text in report["warnings"]]
    items = "".join(f'<li class="{kind}"><b>{word}</b>{escape(text)}</li>' for kind, word, text in lines)
    return f'<ul class="notes" id="warnings">{items}</ul>' if items else ""


def _verdicts(report: Report) -> str:
    """A card for each pair of arms in each budget, with its verdicts; those on all arms come first."""
    if not report["verdicts"]:
        return "<h2>Verdicts</h2><p>No two arms share net and data: there is nothing to compare.</p>"
    cards: dict[tuple[str, str], dict[tuple[str, str], list[str]]] = {}
    for line in report["verdicts"]:
        kind = "cannot" if line["kind"] == "cannot conclude" else line["kind"]
        item = f'<li class="verdict {kind}"><b>{_WORDS[line["kind"]]}</b>{escape(line["text"])}</li>'
        pair = (line["a"] or "", line["b"] or "")
        cards.setdefault((line["budget"] or "", "aa" if kind == "aa" else ""), {}).setdefault(pair, []).append(item)
    budgets = {budget for budget, _ in cards if budget}
    parts = []
    for (budget, kind), pairs in sorted(cards.items(), key=lambda item: item[0][0] != ""):
        heading = f"<h3>At {escape(budget)}</h3>" if budget and not kind and len(budgets) > 1 else ""
        shown = "".join(_card(a, b, items) for (a, b), items in pairs.items())
        parts.append(f'{heading}<div class="cards">{shown}</div>')
    return f'<h2>Verdicts</h2><div id="verdicts">{"".join(parts)}</div>'


def _card(a: str, b: str, items: Sequence[str]) -> str:
    title = f"<h4>{escape(a)} <span>against</span> {escape(b)}</h4>" if a else "<h4>All arms</h4>"
    return f'<div class="card">{title}<ul>{"".join(items)}</ul></div>'


def _table(report: Report, budget: Report, number: int) -> str:
    columns, roles = table_columns(report), {arm["name"]: arm for arm in report["arms"]}
    estimate = not report["energy"]["ranked"]
    head = ['<th aria-sort="none" scope="col"><button class="sort" type="button">Arm</button></th>']
    head.append(_head("Runs", "Runs that finished, of all that were planned. Failed runs are listed below."))
    head += [_head(column.title, column.tip) for column in columns]
    rows = []
    for row in budget["rows"]:
        role = roles[row["arm"]]["role"]
        mark = {"twin": "backprop twin", "control": "control", "aa": "A/A repeat"}.get(role, "")
        name = escape(row["arm"]) + (f'<br><span class="role">{mark}</span>' if mark else "")
        cells = [f"<td>{name}</td>", f'<td data-value="{row["finished"]}">{runs_of(row)}</td>']
        for column in columns:
            value = column.value(row)
            hatched = ' class="est"' if column.energy and estimate and value is not None else ""
            cells.append(f'<td data-value="{"" if value is None else value}"{hatched}>{escape(column.cell(row))}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    caption = f"Mean ± half the 95 % t interval; n: the runs that finished. {escape(_caption(report, budget))}"
    return (
        f'<div class="wide"><table class="results" id="results-{number}"><caption><span>{caption}</span></caption>'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _caption(report: Report, budget: Report) -> str:
    note = caption_note(report, budget)
    about = report["energy"]
    energy = f"Energy: {' + '.join(about['components'])}, {about['method']}." if about["ranked"] else ""
    return f"{note[:1].upper()}{note[1:]}. {energy}" if note else energy


def _head(title: str, tip: str) -> str:
    tip = escape(tip, True)
    return (
        f'<th aria-sort="none" scope="col"><button class="sort" type="button">{escape(title)}</button> '
        f'<span class="tip" tabindex="0" role="note" aria-label="{tip}" data-tip="{tip}">?</span></th>'
    )


def _figures(report: Report, budget: Report) -> Iterable[str]:
    note = f" Quick study: {budget['note']}." if budget["note"] else ""
    ranked = report["energy"]["ranked"]
    yield _figure(
        "Energy to accuracy", f"Every run faint, the median of the seeds bold.{note}", charts.curves(report, budget)
    )
    against = "energy" if budget["pareto"]["x"] == "energy_j" else "time"
    text = f"Crosses: 95 % intervals. The dotted line joins the arms that no other on their net beats in both.{note}"
    yield _figure(f"Accuracy against {against}", text, charts.pareto(report, budget))
    for measure in COMPARED:
        text = f"A dot for each pair of runs, the mean and its 95 % interval.{note}"
        yield _figure(f"Paired differences: {measure.noun}", text, charts.paired(report, budget, measure.key))
    text = ("Mean of each window." if ranked else "Estimates, hatched: not measured.") + note
    yield _figure("Where the joules went", text, charts.windows(report, budget))


def _figure(title: str, text: str, drawn: str) -> str:
    return f"<figure><figcaption><b>{escape(title)}.</b> {escape(text)}</figcaption>{drawn}</figure>" if drawn else ""
