"""Differences between arms, and what may be said of them: a difference, equivalence, or "cannot conclude because …"."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bpfree.reports import statistics
from bpfree.reports.measures import (
    COMPARED,
    CPU_TIME,
    ENERGY,
    MEMORY,
    TEST,
    Basis,
    Measure,
    devices,
    no_energy,
    place,
    resumed,
    values,
)
from bpfree.reports.study import BASELINE, Run, Study
from energy.labels import is_measured

POINTS = ("accuracy", "roc-auc")  # metrics between 0 and 1, shown times 100
MINUS = "\u2212"
DIFFERENCE, EQUIVALENT, CANNOT = "difference", "equivalent", "cannot conclude"


def comparisons(study: Study, found: Basis) -> list[dict[str, Any]]:
    """All comparisons of a study, each measure in each budget, with Holm's correction over each measure's family, and
    over all A/A comparisons: of eight 95 % intervals one misses zero by chance in every third study."""
    on_cpu = any(values(run, found)["cpu_s"] is not None for run in study.runs if run.finished)
    said = [measure for measure in COMPARED if measure is not CPU_TIME or on_cpu]
    made = [
        _compare(study, found, budget, one, two, measure)
        for budget in study.plan["budgets"]
        for one, two in pairs(study)
        for measure in said
    ]
    copies = [c for c in made if c["aa"]]
    for family in [copies, *([c for c in made if c["measure"] == m.key and not c["aa"]] for m in COMPARED)]:
        tested = [c for c in family if c["p"] is not None]
        for comparison, p in zip(tested, statistics.holm([c["p"] for c in tested]), strict=True):
            comparison["p_holm"], comparison["family"] = p, len(tested)
        for rank, comparison in enumerate(sorted(tested, key=lambda c: c["p"])):
            if comparison["pairs_needed"] is not None:  # at the level that Holm's step asks of this comparison
                p, p_holm = comparison["p"], comparison["p_holm"]
                alpha = min(
                    statistics.ALPHA / (len(tested) - rank),
                    statistics.ALPHA * p / p_holm if p_holm else statistics.ALPHA,
                )
                comparison["pairs_needed"] = statistics.pairs_needed(comparison["mean"], comparison["sd"], alpha)
    drift = {(c["budget"], c["measure"]): c for c in copies if _differs(c)}
    for comparison in made:
        copy = drift.get((comparison["budget"], comparison["measure"]))
        comparison |= _verdict(comparison, found, study.plan["margin_pp"], copy)
    return made


def pairs(study: Study) -> list[tuple[str, str]]:
    """Which arm is held against which: only arms on the same net and data."""
    made: list[tuple[str, str]] = []
    for name, arm in study.arms.items():
        for other_name, other in study.arms.items():
            if name == other_name or arm["net_key"] is None or arm["net_key"] != other["net_key"]:
                continue
            if arm["role"] == "aa":
                wanted = other_name == (arm["twin_of"] or _original(study, name))
            elif other["role"] == "aa" or arm["role"] == "twin":
                wanted = False
            else:
                control = arm["role"] == "arm" and other["role"] == "control" and other["algo"] == arm["algo"]
                wanted = other_name == _reference(study, arm["net_key"]) or control
            if wanted:
                made.append((name, other_name))
    return made


def _original(study: Study, name: str) -> str | None:
    arm = study.arms[name]
    same = [
        n for n, a in study.arms.items() if n != name and (a["algo"], a["settings"]) == (arm["algo"], arm["settings"])
    ]
    return same[0] if same else None


def _reference(study: Study, net_key: str) -> str | None:
    """The arm that all others on a net are held against: its twin, else plain backpropagation, else the first."""
    group = {name: arm for name, arm in study.arms.items() if arm["net_key"] == net_key and arm["role"] != "aa"}
    ranks = {
        name: (arm["role"] != "twin", arm["algo"] != BASELINE, arm["role"] == "control") for name, arm in group.items()
    }
    return min(ranks, key=lambda name: ranks[name], default=None)


def _compare(study: Study, found: Basis, budget: str, one: str, two: str, measure: Measure) -> dict[str, Any]:
    a, b = ({run.seed: run for run in study.of(name, budget) if run.finished} for name in (one, two))
    left_out: list[str] = []
    rows: list[dict[str, Any]] = []
    for seed in sorted(a.keys() & b.keys()):
        why = _not_comparable(a[seed], b[seed], measure, found, study.plan["concurrent_runs"])
        x, y = (values(run, found)[measure.key] for run in (a[seed], b[seed]))
        if why or x is None or y is None:
            left_out.append(f"seed {seed}: {why or 'a value is missing'}")
        elif measure.scale == "ratio" and min(x, y) <= 0:
            left_out.append(f"seed {seed}: a value is not above zero")
        else:
            rows.append({"seed": seed, "a": x, "b": y, "d": math.log(x / y) if measure.scale == "ratio" else x - y})
    tested = asdict(statistics.paired([row["d"] for row in rows]))
    metric: dict[str, Any] = next((run.record["result"] for run in [*a.values(), *b.values()] if run.record), {})
    points = measure is TEST and metric.get("metric") in POINTS
    margin = study.plan["margin_pp"] / 100 if points else None
    equal = asdict(statistics.equivalence([row["d"] for row in rows], margin)) if margin else None
    bounds = [
        r.record["energy"]["train"]["err_bound"] or 0.0
        for r in [*a.values(), *b.values()]
        if measure is ENERGY and r.record and "train" in r.record["energy"]
    ]
    return {
        "budget": budget,
        "a": one,
        "b": two,
        "aa": study.arms[one]["role"] == "aa",
        "measure": measure.key,
        "scale": measure.scale,
        "metric": metric.get("metric"),
        "maximize": metric.get("direction") == "max",
        "points": points,
        **tested,
        "p_holm": None,
        "family": 0,
        "pairs": rows,
        "left_out": left_out,
        "equivalence": equal,
        "meter_bound": max(bounds, default=None) if measure is ENERGY else None,
    }


def _not_comparable(a: Run, b: Run, measure: Measure, found: Basis, concurrent_runs: int) -> str:
    if measure in (TEST, MEMORY):  # bytes of tensors are the same on every machine
        return ""
    if measure is not ENERGY and concurrent_runs > 1:
        return f"{concurrent_runs} runs went on at the same time"
    if resumed(a) or resumed(b):
        return resumed(a) or resumed(b)
    if measure is ENERGY and not found.ranked:
        return "energy was not measured"
    if measure is ENERGY and (no_energy(a, found) or no_energy(b, found)):
        return no_energy(a, found) or no_energy(b, found)
    if measure is ENERGY and devices(a, found) != devices(b, found):
        return "they were metered by different devices"
    one, two = place(a), place(b)
    apart = [key for key in one if one[key] != two[key]]
    return "".join(f"{key} {one[key]} and {two[key]}" for key in apart[:1])


def covers_zero(comparison: dict[str, Any]) -> bool:
    return comparison["low"] <= 0 <= comparison["high"]


def _differs(copy: dict[str, Any]) -> bool:
    """Whether an A/A arm differs by more than chance would have it."""
    if copy["low"] is None or covers_zero(copy):
        return False
    return copy["p_holm"] is None or copy["p_holm"] < statistics.ALPHA


def _verdict(c: dict[str, Any], found: Basis, margin_pp: float, copy: dict[str, Any] | None) -> dict[str, Any]:
    """``verdict``, ``because`` (of "cannot conclude") and the ``sentence`` that says it all."""
    measure = next(m for m in COMPARED if m.key == c["measure"])
    if c["aa"]:
        return {"verdict": None, "because": "", "sentence": _noise(c, measure.noun)}
    because = _because(c, measure, found, copy)
    trusted = copy is None and not _too_few(c)
    if trusted and c["equivalence"] and c["equivalence"]["equivalent"]:
        sentence = (
            f"{c['a']} and {c['b']} give the same test result within ±{margin_pp:g} points "
            f"({change(c, c['mean'])} points, 90 % CI {_range(c, c['equivalence'])}, n = {c['n']} pairs)."
        )
        return {"verdict": EQUIVALENT, "because": "", "sentence": sentence}
    if trusted and c["sd"] == c["mean"] == 0 and (measure is not ENERGY or found.ranked):
        text = f"{c['a']} and {c['b']} have exactly the same {measure.noun} in every pair (n = {c['n']} pairs)."
        return {"verdict": EQUIVALENT, "because": "", "sentence": text}
    if because:
        sentence = f"Cannot conclude whether {c['a']} and {c['b']} differ in {measure.noun}, because {because}."
        return {"verdict": CANNOT, "because": because, "sentence": sentence}
    better = c["mean"] > 0 if measure is not TEST or c["maximize"] else c["mean"] < 0
    amount = change(c, c["mean"]).lstrip("+" + MINUS) + (" points" if c["points"] else "")
    label = f", {found.method}, {' + '.join(found.components)}" if measure is ENERGY else ""
    holm = "" if c["p_holm"] is None else f", Holm p {_p(c['p_holm'])}"
    if c["p"] is None:
        text = f"{c['a']} {(measure.more if better else measure.less).format(amount)} {c['b']} "
        return {"verdict": DIFFERENCE, "because": "", "sentence": f"{text}(the same in all n = {c['n']} pairs)."}
    sentence = (
        f"{c['a']} {(measure.more if better else measure.less).format(amount)} {c['b']} "
        f"(95 % CI {_range(c, c)}{' points' if c['points'] else ''}, n = {c['n']} pairs{label}{holm})."
    )
    return {"verdict": DIFFERENCE, "because": "", "sentence": sentence}


def _because(c: dict[str, Any], measure: Measure, found: Basis, copy: dict[str, Any] | None) -> str:
    """Why nothing can be concluded; "": something can."""
    if measure is ENERGY and not found.ranked:
        return f"energy was not measured: {found.reason}"
    if measure is ENERGY:
        assert is_measured(found.method)
    if _too_few(c):
        pairs = "only 1 pair" if c["n"] == 1 else f"only {c['n']} pairs" if c["n"] else "no pair"
        whole = f"{pairs} can be compared, and {statistics.MIN_PAIRS} are the least"
        return whole + (f" (left out: {'; '.join(c['left_out'])})" if c["left_out"] else "")
    if copy is not None:
        by = f"{change(copy, copy['mean'])} ({_range(copy, copy)})"
        return f"the A/A arm, which repeats {copy['b']}, differs from it by {by}"
    if c["p"] is None:  # no spread at all
        return "" if measure is MEMORY else "all pairs differ by exactly the same amount, which no two runs do"
    if c["p_holm"] is not None and c["p_holm"] < statistics.ALPHA:
        bound = c["meter_bound"] or 0.0
        if measure is ENERGY and abs(math.expm1(c["mean"])) <= bound:
            return f"the meter's ticks alone may err by up to {bound:.1%} of a window: use longer runs"
        return ""
    needed = (
        ""
        if not c["pairs_needed"]
        else (
            f"; about {c['pairs_needed']:,} pairs would show a difference as large as this "
            f"with power {statistics.POWER:g}"
        )
    )
    if covers_zero(c):
        unit = " points" if c["points"] else ""
        return f"the 95 % interval {_range(c, c)}{unit} covers zero with n = {c['n']} pairs{needed}"
    return (
        f"the difference does not survive Holm's correction for {c['family']} comparisons (p {_p(c['p_holm'])}){needed}"
    )


def _too_few(c: dict[str, Any]) -> bool:
    return c["n"] < statistics.MIN_PAIRS


def _noise(c: dict[str, Any], what: str) -> str:
    """The sentence of an A/A comparison: two sets of runs of one arm, whose differences are noise."""
    both = f"{c['b']} and its repeat"
    if c["low"] is None:
        return f"Too few pairs of {both} to state the noise of {what}."
    if _differs(c):
        covers = "it does NOT cover zero: more than the rule differs"
    elif covers_zero(c):
        covers = "it covers zero, as it must"
    else:
        covers = f"it misses zero, as one of {c['family']} such intervals may by chance (Holm's p {_p(c['p_holm'])})"
    unit = " points" if c["points"] else ""
    return f"{both} differ in {what} by {_range(c, c)}{unit} (A/A, 95 % CI, n = {c['n']} pairs): {covers}."


def change(c: dict[str, Any], d: float) -> str:
    """A difference as people read it, signed: points, percent, or the metric's own unit."""
    if c["scale"] == "ratio":
        return _signed(100 * math.expm1(d)) + " %"
    return _signed(100 * d) if c["points"] else _sign(d, f"{abs(d):.3g}")


def _range(c: dict[str, Any], interval: dict[str, Any]) -> str:
    return f"{change(c, interval['low'])} to {change(c, interval['high'])}"


def _signed(value: float) -> str:
    size = abs(value)
    return _sign(value, f"{size:.2f}" if size < 10 else f"{size:.1f}" if size < 100 else f"{size:,.0f}")


def _sign(value: float, text: str) -> str:
    """``text``, the size of ``value``, signed unless it says zero."""
    sign = "" if float(text.replace(",", "")) == 0 else MINUS if value < 0 else "+"
    return sign + text


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def sentences(made: Sequence[dict[str, Any]], found: Basis) -> list[dict[str, Any]]:
    """The verdicts in reading order; one sentence for all energies when none was measured."""
    lines = []
    for c in made:
        if c["measure"] == ENERGY.key and not found.ranked:
            continue
        kind = "aa" if c["aa"] else c["verdict"]
        lines.append(
            {
                "kind": kind,
                "budget": c["budget"],
                "measure": c["measure"],
                "a": c["a"],
                "b": c["b"],
                "text": c["sentence"],
            }
        )
    if not found.ranked:
        text = f"Cannot conclude which arm uses less energy, because {found.reason}. No energy ranking is given."
        lines.insert(0, {"kind": CANNOT, "budget": None, "measure": ENERGY.key, "a": None, "b": None, "text": text})
    return lines
