"""The report's charts, each from a part of ``report.json`` to one SVG; "" where there is nothing to draw."""

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bpfree.reports import formatting
from bpfree.reports.formatting import MINUS, change
from bpfree.reports.measures import COMPARED
from bpfree.reports.svg import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Plot, colour, marker, ticks

Report = Mapping[str, Any]
WINDOW_WORDS = {
    "setup": "setting up",
    "train": "training",
    "validate": "validating",
    "save": "saving",
    "predict": "testing",
}


def order(report: Report) -> dict[str, int]:
    """Arm -> number of its colour and marker."""
    return {arm["name"]: k for k, arm in enumerate(report["arms"])}


def curves(report: Report, budget: Report) -> str:
    """Validation metric against joules of training so far (log axis): every seed faint, the median bold.

    Args:
        report: as in ``report.json``.
        budget: one of its budgets.
    """
    by_arm = {arm: [run["points"] for run in runs if run["points"]] for arm, runs in budget["curves"].items()}
    joules = all(p[1] is not None and p[1] > 0 for runs in by_arm.values() for points in runs for p in points)
    column = 1 if joules else 0
    flat = [p for runs in by_arm.values() for points in runs for p in points if p[column] and p[column] > 0]
    if len(flat) < 2:
        return ""
    xs, ys = [p[column] for p in flat], [p[2] for p in flat]
    plot = Plot(
        f"{report['metric']['name']} against the cost of training", (min(xs), max(xs)), (min(ys), max(ys)), log_x=True
    )
    title = (
        ("J of training" if report["energy"]["ranked"] else "≈ J of training (est.)")
        if joules
        else "s of training (no energy)"
    )
    plot.axes(
        title, f"validation {report['metric']['name']}", _metric_text(report), lambda v: formatting.significant(v, 2)
    )
    for arm, runs in by_arm.items():
        k = order(report)[arm]
        dashed = " est" if joules and not report["energy"]["ranked"] else ""
        lines = [[(p[column], p[2]) for p in points if p[column] and p[column] > 0] for points in runs]
        for line in lines:
            plot.line(line, k, "faint")
        plot.line(_median(lines), k, "bold" + dashed)
    return plot.svg()


def _median(lines: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Point by point over the runs that go on that long, while they are at least half of all."""
    longest = sorted(map(len, lines), reverse=True)[(len(lines) - 1) // 2] if lines else 0
    at = [[line[k] for line in lines if len(line) > k] for k in range(longest)]
    return [(statistics.median(p[0] for p in points), statistics.median(p[1] for p in points)) for points in at]


def pareto(report: Report, budget: Report) -> str:
    """Test metric against energy, or time where energy is not measured: intervals as crosses, the front as a line.

    Args:
        report: as in ``report.json``.
        budget: one of its budgets.
    """
    key = budget["pareto"]["x"]
    rows = {row["arm"]: row for row in budget["rows"] if row[key]["mean"] and row["test"]["mean"] is not None}
    if not rows:
        return ""
    spans = {arm: (_three(row[key]), _three(row["test"])) for arm, row in rows.items()}
    xs = [v for x, _ in spans.values() for v in x if v is not None and v > 0]
    ys = [v for _, y in spans.values() for v in y if v is not None]
    plot = Plot(f"test {report['metric']['name']} against {key}", (min(xs), max(xs)), (min(ys), max(ys)), log_x=True)
    title = "J of training" if key == "energy_j" else "s of training (energy is not measured)"
    plot.axes(title, f"test {report['metric']['name']}", _metric_text(report), lambda v: formatting.significant(v, 2))
    for front in budget["pareto"]["fronts"]:
        points = [(rows[arm][key]["mean"], rows[arm]["test"]["mean"]) for arm in front if arm in rows]
        path = "L".join(f"{plot.x(x):.1f} {plot.y(y):.1f}" for x, y in points)
        if len(points) > 1:
            plot.add(f'<path class="front" d="M{path}"/>')
    for arm, (x, y) in spans.items():
        k = order(report)[arm]
        low = x[0] if x[0] is not None and x[0] > 0 else x[1]
        plot.cross((low, x[1], x[2]), y, k)
        best = any(arm in front for front in budget["pareto"]["fronts"])
        plot.mark(x[1], y[1], k, f"{arm}{', not dominated' if best else ''}", size=6 if best else 4.5)
    return plot.svg()


def paired(report: Report, budget: Report, key: str) -> str:
    """One row a comparison: a dot for each pair, the mean and its 95 % interval, and the line of no difference.

    Args:
        report: as in ``report.json``.
        budget: one of its budgets.
        key: of the measure.
    """
    rows = [c for c in report["comparisons"] if c["budget"] == budget["name"] and c["measure"] == key and c["pairs"]]
    if not rows or (key == "energy_j" and not report["energy"]["ranked"]):
        return ""
    values = [v for c in rows for v in (*(p["d"] for p in c["pairs"]), c["low"], c["high"], 0.0) if v is not None]
    height = TOP + BOTTOM + 44 * len(rows)
    title = next(measure.title for measure in COMPARED if measure.key == key)
    plot = Plot(
        f"paired differences, {title}", (min(values), max(values)), (-0.5, len(rows) - 0.5), height=height, left=16
    )
    kept: list[float] = []
    for value, text in sorted(_difference_ticks(rows[0], *plot.x_range), key=lambda tick: abs(tick[0])):
        if any(abs(plot.x(value) - x) < 60 for x in kept):  # on a scale of ratios large ones crowd
            continue
        kept.append(plot.x(value))
        plot.add(f'<path class="grid" d="M{plot.x(value):.1f} {TOP}V{height - BOTTOM}"/>')
        plot.text(plot.x(value), height - BOTTOM + 17, text, "middle")
    plot.add(f'<path class="axis" d="M{plot.x(0):.1f} {TOP}V{height - BOTTOM}"/>')
    for row, c in enumerate(rows):
        y, k = TOP + 44 * row + 30, order(report)[c["a"]]
        plot.text(18, y - 15, f"{c['a']} against {c['b']}{' (A/A)' if c['aa'] else ''}")
        for pair in c["pairs"]:
            x = plot.x(pair["d"])
            tip = f"<title>seed {pair['seed']}: {change(c, pair['d'])}</title>"
            plot.add(f'<circle class="dot" style="fill:{colour(k)}" cx="{x:.1f}" cy="{y}" r="4">{tip}</circle>')
        if c["low"] is not None:
            plot.add(f'<path class="interval" d="M{plot.x(c["low"]):.1f} {y}H{plot.x(c["high"]):.1f}"/>')
        plot.add(f'<path class="mean" d="M{plot.x(c["mean"]):.1f} {y - 8}v16"/>')
    unit = "percent" if rows[0]["scale"] == "ratio" else "points" if rows[0]["points"] else "its own unit"
    plot.text((16 + WIDTH - RIGHT) / 2, height - 8, f"{title}: difference in {unit}", "middle", "title")
    return plot.svg()


def _difference_ticks(c: Mapping[str, Any], low: float, high: float) -> list[tuple[float, str]]:
    """Places and texts of round differences: percent of a ratio, points, or the metric's own unit."""
    if c["scale"] == "ratio":
        return [(math.log1p(v / 100), f"{_round(v)} %") for v in ticks(100 * math.expm1(low), 100 * math.expm1(high))]
    scale = 100 if c["points"] else 1
    return [(v / scale, _round(v)) for v in ticks(scale * low, scale * high)]


def _round(value: float) -> str:
    return f"{value:+.4g}".replace("-", MINUS) if value else "0"


def windows(report: Report, budget: Report) -> str:
    """Joules of each window (seconds, where no energy is known): a stacked bar an arm, hatched where estimated.

    Args:
        report: as in ``report.json``.
        budget: one of its budgets.
    """
    arms = {arm: by_name for arm, by_name in budget["windows"].items() if any(w["seconds"] for w in by_name.values())}
    key = "energy_j" if all(by_name["train"]["energy_j"] is not None for by_name in arms.values()) else "seconds"
    totals = {arm: sum(w[key] or 0.0 for w in by_name.values()) for arm, by_name in arms.items()}
    if not arms or not max(totals.values()):
        return ""
    height, room = TOP + BOTTOM + 40 * len(arms), WIDTH - 16 - RIGHT
    estimate = key == "energy_j" and not report["energy"]["ranked"]
    parts = []
    for row, (arm, by_name) in enumerate(arms.items()):
        x, y = 16.0, TOP + 40 * row + 18
        total = formatting.joules(totals[arm], estimate) if key == "energy_j" else formatting.seconds(totals[arm])
        parts.append(f'<text x="16" y="{y - 5}">{escape(arm)}: {total}</text>')
        for k, (name, window) in enumerate(by_name.items()):
            share = (window[key] or 0.0) / max(totals.values()) * room
            if share > 0:
                text = (
                    formatting.joules(window[key], estimate) if key == "energy_j" else formatting.seconds(window[key])
                )
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{share:.1f}" height="15" style="fill:var(--w{k})">'
                    f"<title>{WINDOW_WORDS[name]}: {text}</title></rect>"
                )
                if estimate:
                    parts.append(f'<rect x="{x:.1f}" y="{y}" width="{share:.1f}" height="15" fill="url(#hatch)"/>')
            x += share
    x = 16.0
    for k, name in enumerate(WINDOW_WORDS):
        parts.append(f'<rect x="{x:.1f}" y="{height - 28}" width="11" height="11" style="fill:var(--w{k})"/>')
        parts.append(f'<text x="{x + 15:.1f}" y="{height - 18}">{WINDOW_WORDS[name]}</text>')
        x += 34 + 7.4 * len(WINDOW_WORDS[name])
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="energy of each window">{"".join(parts)}</svg>'


def depth(report: Report) -> str:
    """Working memory against depth, for rules that ran at several depths."""
    series = report["depth"]
    if not series:
        return ""
    xs = [p[0] for s in series for p in s["points"]]
    ys = [p[1] / 2**20 for s in series for p in s["points"]]
    plot = Plot("working memory against depth", (min(xs), max(xs)), (0.0, max(ys)))
    plot.axes("depth: trained layers or blocks", "working memory, MiB", formatting.significant, lambda v: f"{v:g}")
    for k, rule in enumerate(series):
        points = [(p[0], p[1] / 2**20) for p in rule["points"]]
        plot.line(points, k, "bold")
        for x, y in points:
            plot.mark(x, y, k, f"{rule['algo']}, depth {x}: {y:.0f} MiB")
        plot.text(plot.x(points[-1][0]) - 6, plot.y(points[-1][1]) - 10, rule["algo"], "end")
    return plot.svg()


def legend(report: Report) -> str:
    """Colour and marker of every arm, as HTML."""
    items = []
    for arm, k in order(report).items():
        mark = f'<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{marker(8, 8, k, 5)}</svg>'
        items.append(f"<li>{mark}{escape(arm)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _three(summary: Mapping[str, Any]) -> tuple[float | None, float, float | None]:
    return summary["low"], summary["mean"], summary["high"]


def _metric_text(report: Report) -> Any:
    if not report["metric"]["points"]:
        return lambda value: formatting.significant(value, 3)
    return lambda value: f"{100 * value:.4g} %" if math.isfinite(value) else ""


__all__ = ["LEFT", "curves", "depth", "legend", "order", "paired", "pareto", "windows"]
