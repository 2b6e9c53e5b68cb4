"""The page: ``report.json`` to one HTML file that needs nothing else, neither network nor server."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from bpfree.reports import charts, formatting
from bpfree.reports.columns import boundary_notes, caption_note, runs_of, table_columns
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
_OUTSIDE = (
    "Not inside: losses of the power supply, fans, cooling, network, other computers, and the search for settings."
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
        yield charts.legend(report)
        yield '<div class="grid2">' + "".join(_figures(report, budget)) + "</div>"
    if drawn := charts.depth(report):
        figure = _figure("Working memory", "Mean of the runs of a depth.", drawn)
        yield f'<h2>Memory against depth</h2><div class="grid2">{figure}</div>'
    yield _boundary(report)
    yield _meter(report)
    yield _search(report)
    yield _failed(report)
    yield _runs(report)
    yield _provenance(report)
    yield _glossary(report)


def _header(report: Report) -> str:
    seeds = f"{len(report['seeds'])} seed{'s' if len(report['seeds']) != 1 else ''}"
    data = report["data"] if isinstance(report["data"], str) else ", ".join(map(str, report["data"] or []))
    facts = [f"{len(report['arms'])} arms", seeds, data, report["quick_note"], (report["created"] or "")[:10]]
    question = f"<p>{escape(report['question'])}</p>" if report["question"] else ""
    return (
        f"<header><div><h1>{escape(report['name'])}</h1>{question}"
        f'<p class="soft">{escape(" · ".join(filter(None, facts)))}</p></div>'
        '<button id="theme" type="button" hidden>Dark theme</button></header>'
    )


def _notes(report: Report) -> str:
    lines = [("fault", "Fault", text) for text in report["faults"]]
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


def _boundary(report: Report) -> str:
    rows = []
    for part in report["boundary"]:
        inside = "counted" if part["counted"] else "not counted"
        text = part["boundary"] if part["method"] != "unavailable" else part["reason"]
        why = (
            f"<br><span class='soft'>Not better because: {escape('; '.join(part['refused']))}</span>"
            if part["refused"]
            else ""
        )
        label = f"{escape(part['method'])}<br><span class='soft'>{inside}, {part['runs']} runs</span>"
        cells = [
            escape(part["component"]),
            label,
            escape(text),
            escape(part["source"]) + why,
            escape(part["uncertainty"]),
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    idle, co2 = report["idle"], report["co2e"]
    watts = None if not idle else idle.get("total_w")
    lines = [_OUTSIDE, "All joules are gross.", *boundary_notes(report)]
    if watts is not None and idle:
        mark = "" if str(idle.get("method")).startswith("measured") else "≈ "
        lines.append(
            f"Idle power before the study: {mark}{formatting.significant(watts)} W ({idle.get('method')}), "
            "not subtracted."
        )
    else:
        lines.append("Idle power was not measured.")
    if co2:
        year = co2["year"] or "year not stated"
        lines.append(
            f"CO2e is derived: energy x {co2['g_per_kwh']:g} g/kWh x PUE {co2['pue']:g} ({co2['source']}, {year})."
        )
    head = _plain_head("Component", "Label", "What it includes", "Read from", "Known error")
    return (
        '<h2 id="boundary">What is inside the measurement</h2><div class="box"><div class="wide"><table class="left">'
        f"<thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div><p>{escape(' '.join(lines))}</p></div>"
    )


def _meter(report: Report) -> str:
    rows = []
    for part in report["meter"]:
        facts = [
            ("tick", "no ticks" if part["tick_ms"] is None else f"{formatting.significant(part['tick_ms'])} ms"),
            ("training windows", formatting.span(part["window_s"], "s")),
            (
                "error bound of the edges, at most",
                formatting.NONE if part["err_bound"] is None else f"{100 * part['err_bound']:.2g} %",
            ),
            ("mean power", formatting.span(part["power_w"], "W")),
            ("temperature at start", formatting.span(part["start_c"], "°C")),
            ("hottest", formatting.NONE if part["hottest_c"] is None else f"{part['hottest_c']:g} °C"),
            ("throttling seen", ", ".join(part["throttling"]) or "none seen" if part["start_c"] else formatting.NONE),
            (
                "runs with other processes on the device",
                str(part["runs_with_other_processes"]) if part["start_c"] else formatting.NONE,
            ),
            ("power limit", formatting.span(part["power_limit_w"], "W")),
            ("clock at start", formatting.span(part["sm_clock_mhz"], "MHz")),
        ]
        shown = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts if text != formatting.NONE)
        rows.append(f"<div><h3>{escape(part['component'])}</h3><dl>{shown}</dl></div>")
    noise = [
        c["sentence"] + (f" ({c['budget']})" if len(report["budgets"]) > 1 else "")
        for c in report["comparisons"]
        if c["aa"] and (c["measure"] != "energy_j" or report["energy"]["ranked"])
    ]
    left = "".join(f"<li>{escape(text)}</li>" for text in report["energy"]["left_out"])
    more = f"<h3>Left out of energy comparisons</h3><ul>{left}</ul>" if left else ""
    floor = (
        f"<h3>Noise floor</h3><ul>{''.join(f'<li>{escape(text)}</li>' for text in noise)}</ul>"
        if noise
        else ("<p>No A/A arm: the noise floor of this study is not known.</p>")
    )
    return f'<h2>Quality of the meter</h2><div class="grid2">{"".join(rows)}</div>{floor}{more}'


def _search(report: Report) -> str:
    searched = [arm for arm in report["arms"] if arm["search"]]
    if not searched:
        return "<h2>Search for settings</h2><p>No arm was tuned in this study.</p>"
    items = []
    for arm in searched:
        items.append(f"<li>{escape(arm['name'])}: {escape(formatting.search(arm['search']))}</li>")
    return f"<h2>Search for settings</h2><p>Its cost is apart: it is in no number above.</p><ul>{''.join(items)}</ul>"


def _failed(report: Report) -> str:
    failed = [run for run in report["runs"] if run["status"] not in ("finished", "planned", "running")]
    if not failed:
        return ""
    rows = "".join(
        f"<tr><td>{escape(run['arm'])}</td><td>{run['seed']}</td><td>{escape(run['budget'])}</td><td>{run['status']}</td>"
        f"<td>{escape(run['error'] or '')}</td></tr>"
        for run in failed
    )
    head = _plain_head("Arm", "Seed", "Budget", "Status", "Why")
    return (
        '<h2 id="failed">Runs that did not finish</h2><div class="wide"><table class="left">'
        f"<thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _runs(report: Report) -> str:
    estimate = not report["energy"]["ranked"]
    rows = []
    for run in report["runs"]:
        cells = [
            *(escape(run["arm"]), str(run["seed"]), escape(run["budget"])),
            *("" if run["order"] is None else str(run["order"]), run["status"]),
            *(formatting.metric(run.get("test"), report["metric"]), formatting.joules(run.get("energy_j"), estimate)),
            *(
                formatting.seconds(run.get("train_s")),
                formatting.size(run.get("live_bytes")),
                formatting.size(run.get("peak_bytes")),
            ),
            *(f"<code>{(run.get(key) or '')[:10]}</code>" for key in ("record_sha256", "predictions_sha256")),
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = _plain_head(
        "Arm", "Seed", "Budget", "Order", "Status", "Test", "Energy", "Time", "Memory", "Peak", "Record", "Predictions"
    )
    return (
        f"<h2>Every run</h2><details><summary>{len(report['runs'])} runs</summary>"
        f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div></details>'
    )


def _plain_head(*names: str) -> str:
    return "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"


def _provenance(report: Report) -> str:
    items = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape('; '.join(values))}</dd>"
        for key, values in report["provenance"].items()
        if values
    )
    return f"<h2>Provenance</h2><dl>{items}<dt>report schema</dt><dd>{report['schema']}</dd></dl>"


def _glossary(report: Report) -> str:
    items = "".join(f"<dt>{escape(column.title)}</dt><dd>{escape(column.tip)}</dd>" for column in table_columns(report))
    return (
        f"<h2>What the columns mean</h2><dl>{items}</dl>"
        '<p class="soft">Runs are paired by seed and data order. Intervals are t intervals of the paired differences '
        "(accuracy) or log-ratios (energy, time, memory); p values are corrected by Holm within each measure; "
        "equivalence is two one-sided tests at 5 %. All numbers of this page are in the JSON object inside it.</p>"
    )
