"""Differences between arms on the same net and data: which pairs of runs count, and their statistics."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bpfree.reports import statistics, verdicts
from bpfree.reports.measures import (
    COMPARED,
    ENERGY,
    MEMORY,
    POINTS,
    TEST,
    Basis,
    Measure,
    conditions,
    devices,
    err_bound,
    no_energy,
    resumed,
    values,
)
from bpfree.reports.questions import questions
from bpfree.reports.study import Run, Study
from bpfree.reports.validity.fault import Fault
from energy.readings import ratio_bound

Comparison = dict[str, Any]


def comparisons(study: Study, basis: Basis, faults: Sequence[Fault]) -> list[Comparison]:
    """Every pair of arms in each budget and measure, with Holm's correction and a verdict.

    Args:
        study: with the records of its runs.
        basis: the components whose energy counts.
        faults: of the study (`bpfree.reports.validity.faults`): nothing is concluded where one of them voids it.

    Returns:
        One JSON object a comparison, as in ``report.json``.
    """
    compared = [_compare(study, basis, faults, *question) for question in questions(study, basis)]
    # A/A comparisons are a family too: of eight 95 % intervals one misses zero by chance in every third study.
    copies = [c for c in compared if c["aa"]]
    for family in [copies, *([c for c in compared if c["measure"] == m.key and not c["aa"]] for m in COMPARED)]:
        _correct([c for c in family if c["p"] is not None])
    differing = {(c["budget"], c["measure"]): c for c in drifts(copies)}
    for comparison in compared:
        drift = differing.get((comparison["budget"], comparison["measure"]))
        comparison |= verdicts.verdict(comparison, basis, study.plan["margin_pp"], drift)
    return compared


def drifts(compared: Sequence[Comparison]) -> list[Comparison]:
    """The A/A comparisons whose two arms, which are one, differ by more than chance.

    Args:
        compared: with Holm's correction.
    """
    return [c for c in compared if c["aa"] and verdicts.copy_differs(c)]


def _compare(
    study: Study, basis: Basis, faults: Sequence[Fault], budget: str, one: str, two: str, measure: Measure
) -> Comparison:
    """The statistics of one pair of arms in one measure, before any correction."""
    a, b = ({run.seed: run for run in study.of(name, budget) if run.finished} for name in (one, two))
    left_out: list[str] = []
    unlike = 0
    rows: list[dict[str, Any]] = []
    bounds: list[float | None] = []  # of each pair's ratio of energies; None: unknown
    for seed in sorted(a.keys() & b.keys()):
        why = _not_comparable(a[seed], b[seed], measure, basis, study.plan["concurrent_runs"])
        x, y = (values(run, basis)[measure.key] for run in (a[seed], b[seed]))
        unlike += bool(why) and not (resumed(a[seed]) or resumed(b[seed]))
        if why or x is None or y is None:
            left_out.append(f"seed {seed}: {why or 'a value is missing'}")
        elif measure.scale == "ratio" and min(x, y) <= 0:
            left_out.append(f"seed {seed}: a value is not above zero")
        else:
            if measure is ENERGY:
                bounds.append(ratio_bound(err_bound(a[seed], basis), err_bound(b[seed], basis)))
            rows.append({"seed": seed, "a": x, "b": y, "d": math.log(x / y) if measure.scale == "ratio" else x - y})
    known = [bound for bound in bounds if bound is not None]
    runs = [*a.values(), *b.values()]
    result: dict[str, Any] = next((run.record["result"] for run in runs if run.record), {})
    points = measure is TEST and result.get("metric") in POINTS
    differences = [row["d"] for row in rows]
    margin = study.plan["margin_pp"] / 100 if points else None
    judged = measure is not ENERGY or basis.ranked  # no fault is needed where nothing was measured
    voided = [fault.text for fault in faults if judged and fault.voids(one, two, budget, measure.key)]
    known = [bound for bound in bounds if bound is not None]
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
        "seeds": [[name, len(done), len(study.of(name, budget))] for name, done in ((one, a), (two, b))],
        "faults": voided,
        "blocked": bool(voided) or (judged and unlike > 0 and len(rows) < statistics.MIN_PAIRS),
        "equivalence": asdict(statistics.equivalence(differences, margin)) if margin else None,
        "meter_bound": max(known, default=None) if len(known) == len(bounds) else None,
    }


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
