"""Differences between arms on the same net and data: which pairs of arms, which pairs of runs, and their statistics."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bpfree.reports import statistics, verdicts
from bpfree.reports.measures import (
    COMPARED,
    CPU_TIME,
    ENERGY,
    MEMORY,
    POINTS,
    TEST,
    Basis,
    Measure,
    conditions,
    devices,
    no_energy,
    resumed,
    values,
)
from bpfree.reports.study import BASELINE, Run, Study

Comparison = dict[str, Any]


def comparisons(study: Study, basis: Basis) -> list[Comparison]:
    """Every pair of arms in each budget and measure, with Holm's correction and a verdict.

    Args:
        study: with the records of its runs.
        basis: the components whose energy counts.

    Returns:
        One JSON object a comparison, as in ``report.json``.
    """
    on_cpu = any(values(run, basis)["cpu_s"] is not None for run in study.runs if run.finished)
    compared = [
        _compare(study, basis, budget, one, two, measure)
        for budget in study.plan["budgets"]
        for one, two in pairs(study)
        for measure in COMPARED
        if measure is not CPU_TIME or on_cpu
    ]
    # A/A comparisons are a family too: of eight 95 % intervals one misses zero by chance in every third study.
    copies = [c for c in compared if c["aa"]]
    for family in [copies, *([c for c in compared if c["measure"] == m.key and not c["aa"]] for m in COMPARED)]:
        _correct([c for c in family if c["p"] is not None])
    drifts = {(c["budget"], c["measure"]): c for c in copies if verdicts.copy_differs(c)}
    for comparison in compared:
        drift = drifts.get((comparison["budget"], comparison["measure"]))
        comparison |= verdicts.verdict(comparison, basis, study.plan["margin_pp"], drift)
    return compared


def pairs(study: Study) -> list[tuple[str, str]]:
    """The pairs of arms to compare, first and reference: only arms on the same net and data."""
    wanted: list[tuple[str, str]] = []
    for name, arm in study.arms.items():
        for other_name, other in study.arms.items():
            if name == other_name or arm["net_key"] is None or arm["net_key"] != other["net_key"]:
                continue
            if arm["role"] == "aa":
                compare = other_name == (arm["twin_of"] or _original(study, name))
            elif other["role"] == "aa" or arm["role"] == "twin":
                compare = False
            else:
                control = arm["role"] == "arm" and other["role"] == "control" and other["algo"] == arm["algo"]
                compare = other_name == _reference(study, arm["net_key"]) or control
            if compare:
                wanted.append((name, other_name))
    return wanted


def _original(study: Study, name: str) -> str | None:
    """The arm that an A/A arm repeats."""
    arm = study.arms[name]
    same = [
        n for n, a in study.arms.items() if n != name and (a["algo"], a["settings"]) == (arm["algo"], arm["settings"])
    ]
    return same[0] if same else None


def _reference(study: Study, net_key: str) -> str | None:
    """The arm that all others on a net are compared with: its twin, else plain backpropagation, else the first."""
    group = {name: arm for name, arm in study.arms.items() if arm["net_key"] == net_key and arm["role"] != "aa"}
    ranks = {
        name: (arm["role"] != "twin", arm["algo"] != BASELINE, arm["role"] == "control") for name, arm in group.items()
    }
    return min(ranks, key=lambda name: ranks[name], default=None)


def _compare(study: Study, basis: Basis, budget: str, one: str, two: str, measure: Measure) -> Comparison:
    """The statistics of one pair of arms in one measure, before any correction."""
    a, b = ({run.seed: run for run in study.of(name, budget) if run.finished} for name in (one, two))
    left_out: list[str] = []
    rows: list[dict[str, Any]] = []
    for seed in sorted(a.keys() & b.keys()):
        why = _not_comparable(a[seed], b[seed], measure, basis, study.plan["concurrent_runs"])
        x, y = (values(run, basis)[measure.key] for run in (a[seed], b[seed]))
        if why or x is None or y is None:
            left_out.append(f"seed {seed}: {why or 'a value is missing'}")
        elif measure.scale == "ratio" and min(x, y) <= 0:
            left_out.append(f"seed {seed}: a value is not above zero")
        else:
            rows.append({"seed": seed, "a": x, "b": y, "d": math.log(x / y) if measure.scale == "ratio" else x - y})
    runs = [*a.values(), *b.values()]
    result: dict[str, Any] = next((run.record["result"] for run in runs if run.record), {})
    points = measure is TEST and result.get("metric") in POINTS
    differences = [row["d"] for row in rows]
    margin = study.plan["margin_pp"] / 100 if points else None
    return {
        "budget": budget,
        "a": one,
        "b": two,
        "aa": study.arms[one]["role"] == "aa",
        "measure": measure.key,
        "scale": measure.scale,
        "metric": result.get("metric"),
        "maximize": result.get("direction") == "max",
        "points": points,
        **asdict(statistics.paired(differences)),
        "p_holm": None,
        "family": 0,
        "pairs": rows,
        "left_out": left_out,
        "equivalence": asdict(statistics.equivalence(differences, margin)) if margin else None,
        "meter_bound": _meter_bound(runs) if measure is ENERGY else None,
    }


def _meter_bound(runs: Sequence[Run]) -> float | None:
    """The largest error, relative, that the edges of the runs' training windows can make."""
    windows = [run.record["energy"]["train"] for run in runs if run.record and "train" in run.record["energy"]]
    return max((window["err_bound"] or 0.0 for window in windows), default=None)


def _not_comparable(a: Run, b: Run, measure: Measure, basis: Basis, concurrent_runs: int) -> str:
    """The reason why two runs may not be compared in a measure; "": they may."""
    if measure in (TEST, MEMORY):  # bytes of tensors are the same on every machine
        return ""
    if measure is not ENERGY and concurrent_runs > 1:
        return f"{concurrent_runs} runs went on at the same time"
    if resumed(a) or resumed(b):
        return resumed(a) or resumed(b)
    if measure is ENERGY and not basis.ranked:
        return "energy was not measured"
    if measure is ENERGY and (no_energy(a, basis) or no_energy(b, basis)):
        return no_energy(a, basis) or no_energy(b, basis)
    if measure is ENERGY and devices(a, basis) != devices(b, basis):
        return "they were metered by different devices"
    one, two = conditions(a), conditions(b)
    apart = [key for key in one if one[key] != two[key]]
    return "".join(f"{key} {one[key]} and {two[key]}" for key in apart[:1])


def _correct(family: Sequence[Comparison]) -> None:
    """Holm's correction of a family's p values, and of the pairs that each comparison would need."""
    for comparison, p in zip(family, statistics.holm([c["p"] for c in family]), strict=True):
        comparison["p_holm"], comparison["family"] = p, len(family)
    for rank, comparison in enumerate(sorted(family, key=lambda c: c["p"])):
        if comparison["pairs_needed"] is None:
            continue
        p, p_holm = comparison["p"], comparison["p_holm"]
        # The level at which Holm's step tests this comparison: pairs enough for 5 % alone would not survive it.
        alpha = min(
            statistics.ALPHA / (len(family) - rank), statistics.ALPHA * p / p_holm if p_holm else statistics.ALPHA
        )
        comparison["pairs_needed"] = statistics.pairs_needed(comparison["mean"], comparison["sd"], alpha)
