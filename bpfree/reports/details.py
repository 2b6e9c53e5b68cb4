"""Sections of the page behind its numbers: the meter, the search, every run, provenance, and a glossary."""

from collections.abc import Mapping
from html import escape
from typing import Any

from bpfree.reports import formatting
from bpfree.reports.columns import boundary_notes, table_columns

Report = Mapping[str, Any]
_OUTSIDE = (
    "Not inside: losses of the power supply, fans, cooling, network, other computers, and the search for settings."
)


def settings(budget: Mapping[str, Any]) -> str:
    """The settings of the arms side by side, a row a setting.

    Args:
        budget: one of the report's.
    """
    arms, rows = budget["settings"]["arms"], budget["settings"]["rows"]
    if not rows:
        return ""
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"
        for name, texts in rows.items()
    )
    caption = "Epochs at most, learning rate, batch size, and every setting in which two arms differ."
    return (
        f'<h3>Settings of the arms</h3><div class="wide"><table class="left settings"><caption><span>{caption}</span>'
        f"</caption><thead>{_plain_head('Setting', *map(escape, arms))}</thead><tbody>{body}</tbody></table></div>"
    )


def memory(budget: Mapping[str, Any]) -> str:
    """Working memory against the best way to run backprop, and the time that this way costs.

    Args:
        budget: one of the report's.
    """
    if not budget["memory"]:
        return ""
    rows = []
    for answer in budget["memory"]:
        cells = (answer["arm"], answer["best"], answer["memory"], answer["time"], answer["cost"] or formatting.NONE)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = _plain_head("Arm", "Leanest backprop", "Working memory", "Time of the arm", "Time of that backprop")
    return (
        '<h3>Memory against the best way to run backprop</h3><div class="wide"><table class="left memory">'
        f"<thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def boundary(report: Report) -> str:
    """The hardware whose energy is inside the measurement, and what reads it."""
    rows = []
    for part in report["boundary"]:
        inside = "counted" if part["counted"] else "not counted"
        text = part["boundary"] if part["method"] != "unavailable" else part["reason"]
        refused = "; ".join(part["refused"])
        why = f"<br><span class='soft'>Not better because: {escape(refused)}</span>" if refused else ""
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


def meter(report: Report) -> str:
    """Quality of the measurement: ticks, windows, power, temperatures, and the noise floor of the A/A arm."""
    rows = []
    for part in report["meter"]:
        rows_of_part = [
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
        shown = "".join(
            f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows_of_part if text != formatting.NONE
        )
        rows.append(f"<div><h3>{escape(part['component'])}</h3><dl>{shown}</dl></div>")
    noise = [
        c["sentence"] + (f" ({c['budget']})" if len(report["budgets"]) > 1 else "")
        for c in report["comparisons"]
        if c["aa"] and (c["measure"] != "energy_j" or report["energy"]["ranked"])
    ]
    left = "".join(f"<li>{escape(text)}</li>" for text in report["energy"]["left_out"])
    more = f"<h3>Left out of energy comparisons</h3><ul>{left}</ul>" if left else ""
    floor = "<p>No A/A arm: the noise floor of this study is not known.</p>"
    if noise:
        floor = f"<h3>Noise floor</h3><ul>{''.join(f'<li>{escape(text)}</li>' for text in noise)}</ul>"
    return f'<h2>Quality of the meter</h2><div class="grid2">{"".join(rows)}</div>{floor}{more}'


def search(report: Report) -> str:
    """The search for settings, and its cost."""
    searched = [arm for arm in report["arms"] if arm["search"]]
    if not searched:
        return "<h2>Search for settings</h2><p>No arm was tuned in this study.</p>"
    items = []
    for arm in searched:
        items.append(f"<li>{escape(arm['name'])}: {escape(formatting.search(arm['search']))}</li>")
    return f"<h2>Search for settings</h2><p>Its cost is apart: it is in no number above.</p><ul>{''.join(items)}</ul>"


def failed(report: Report) -> str:
    """The runs that did not finish, each with its reason."""
    ended = [run for run in report["runs"] if run["status"] not in ("finished", "planned", "running")]
    if not ended:
        return ""
    rows = "".join(
        f"<tr><td>{escape(run['arm'])}</td><td>{run['seed']}</td><td>{escape(run['budget'])}</td><td>{run['status']}</td>"
        f"<td>{escape(run['error'] or '')}</td></tr>"
        for run in ended
    )
    head = _plain_head("Arm", "Seed", "Budget", "Status", "Why")
    return (
        '<h2 id="failed">Runs that did not finish</h2><div class="wide"><table class="left">'
        f"<thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def runs(report: Report) -> str:
    """Every run in one line."""
    estimate = not report["energy"]["ranked"]
    rows = []
    for run in report["runs"]:
        cells = [
            escape(run["arm"]),
            str(run["seed"]),
            escape(run["budget"]),
            "" if run["order"] is None else str(run["order"]),
            run["status"],
            formatting.metric(run.get("test"), report["metric"]),
            formatting.joules(run.get("energy_j"), estimate),
            formatting.seconds(run.get("train_s")),
            formatting.size(run.get("live_bytes")),
            formatting.size(run.get("peak_bytes")),
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


def provenance(report: Report) -> str:
    """Devices, versions, data and commit."""
    items = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape('; '.join(values))}</dd>"
        for key, values in report["provenance"].items()
        if values
    )
    return f"<h2>Provenance</h2><dl>{items}<dt>report schema</dt><dd>{report['schema']}</dd></dl>"


def glossary(report: Report) -> str:
    """The meaning of every column."""
    items = "".join(f"<dt>{escape(column.title)}</dt><dd>{escape(column.tip)}</dd>" for column in table_columns(report))
    return (
        f"<h2>What the columns mean</h2><dl>{items}</dl>"
        '<p class="soft">Runs are paired by seed and data order. Intervals are t intervals of the paired differences '
        "(accuracy) or log-ratios (energy, time, memory); p values are corrected by Holm within each measure; "
        "equivalence is two one-sided tests at 5 %. All numbers of this page are in the JSON object inside it.</p>"
    )


def _plain_head(*names: str) -> str:
    return "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
