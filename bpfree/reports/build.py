"""``build(study)``: everything a report says, computed once, as one JSON object that all files are drawn from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bpfree.errors import InputError
from bpfree.reports import provenance, statistics
from bpfree.reports.arm_settings import arm_settings
from bpfree.reports.comparisons import comparisons
from bpfree.reports.measures import POINTS, Basis, beside, energy_basis, no_energy, values
from bpfree.reports.memory import memory_answers
from bpfree.reports.other_metrics import other_metrics
from bpfree.reports.results import budget_results
from bpfree.reports.study import EXTENSION, Run, Study
from bpfree.reports.validity import faults
from bpfree.reports.validity.fault import Fault
from bpfree.reports.verdicts import sentences
from energy.carbon import Intensity

SCHEMA = "bpfree-report/2"
IMBALANCED = 1.5  # times the share that a class has among equal ones
QUICK = "budget reached, not converged"


def build(study: Study, at: Intensity | None = None, pue: float = 1.0) -> dict[str, Any]:
    """The report of a study.

    Args:
        study: with the records of its runs.
        at: carbon intensity, for a derived CO2e; None: no CO2e.
        pue: power usage effectiveness, 1 or more.

    Returns:
        JSON of schema ``bpfree-report/2``.

    Raises:
        InputError: no run has finished, so that there is nothing to report.
    """
    done = [run for run in study.runs if run.finished]
    if not done:
        reasons = "; ".join(study.warnings[:3])
        raise InputError(
            "no run of this study has finished: there is nothing to report" + (f" ({reasons})" if reasons else "")
        )
    basis, plan = energy_basis(done), study.plan
    wrong = faults(study)
    compared = comparisons(study, basis, wrong)
    results = [run.record["result"] for run in done if run.record]
    metric = Counter(result["metric"] for result in results).most_common(1)[0][0]
    fake = any(run.record["fake"] for run in done if run.record)
    left_out = [(f"{run.arm}, seed {run.seed}, {run.budget}", no_energy(run, basis)) for run in done if basis.ranked]
    return {
        "schema": SCHEMA,
        "name": plan["name"],
        "question": plan["question"],
        "created": plan["created"],
        "quick": plan["quick"],
        "quick_note": QUICK if plan["quick"] else "",
        "fake": fake,
        "metric": {
            "name": metric,
            "points": metric in POINTS,
            "maximize": results[0]["direction"] == "max",
            "majority_share": _majority_share(done) if metric == "accuracy" else None,
        },
        "level": statistics.LEVEL,
        "margin_pp": plan["margin_pp"],
        "target": plan["target"],
        "seeds": plan["seeds"],
        "data": plan["data"],
        "energy": {
            "ranked": basis.ranked,
            "method": basis.method,
            "components": basis.components,
            "reason": basis.reason,
            "left_out": [f"{name}: {reason}" for name, reason in left_out if reason],
        },
        "co2e": None if at is None else {**asdict(at), "pue": pue, "method": "derived"},
        "warnings": _warnings(study, basis, fake, metric, results),
        "faults": [_fault(fault) for fault in wrong],
        "blocked": sum(c["blocked"] for c in compared if not c["aa"]),
        "verdicts": sentences(compared, basis),
        "arms": [_arm(arm) for arm in plan["arms"]],
        "budgets": [
            {
                "name": name,
                "note": QUICK if plan["quick"] else "",
                "settings": arm_settings(study, name),
                "memory": memory_answers(study, name, compared),
                "other_metrics": other_metrics(study, name),
                **_undrawn(budget_results(study, basis, name, at, pue), [c for c in compared if c["budget"] == name]),
            }
            for name in plan["budgets"]
        ],
        "comparisons": compared,
        "depth": provenance.depth(done),
        "boundary": provenance.boundary(done, basis),
        "meter": provenance.meter(done, basis),
        "idle": plan["idle"],
        "provenance": provenance.provenance(done),
        "runs": [_listed(run, basis) for run in sorted(study.runs, key=lambda r: (r.order is None, r.order or 0))],
    }


def _majority_share(done: Sequence[Run]) -> float | None:
    """The largest share of a class in a test part that is far from balanced; None: there is none."""
    shares = [(beside(run).get("majority_share"), (run.record or {})["data"].get("classes")) for run in done]
    telling = [share for share, classes in shares if share and classes and share > IMBALANCED / classes]
    return max(telling, default=None)


def _undrawn(results: dict[str, Any], compared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The results without fronts, which rank arms, where a fault voids a ranking in what they are drawn over."""
    axes = ("test", results["pareto"]["x"])
    void = any(c["faults"] and c["measure"] in axes for c in compared)
    return {**results, "pareto": {**results["pareto"], "fronts": []}} if void else results


def _fault(fault: Fault) -> dict[str, Any]:
    """A fault as the report has it: with the measures of which it voids the claims, and the arms in it."""
    arms = sorted(frozenset().union(*fault.groups))
    return {"text": fault.text, "measures": sorted(fault.measures), "arms": arms, "budget": fault.budget}


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    return {key: arm[key] for key in ("name", "algo", "role", "twin_of", "net_key", "settings", "search")}


def _warnings(study: Study, basis: Basis, fake: bool, metric: str, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Reasons to trust the report less, in sentences: its own, then those of the study."""
    lines = []
    if fake:
        lines.append(
            "These joules come from a test double of a meter. They are not measurements and may not be published."
        )
    if study.plan["quick"]:
        lines.append(f"Quick study, on few data or passes: {QUICK}. Its numbers say nothing about finished training.")
    missing = sum(run.status in ("planned", "running") for run in study.runs)
    if missing:
        lines.append(f"{missing} of {len(study.runs)} runs are still to be made: this is not the whole study.")
    if study.definition is not None and EXTENSION not in study.plan["extensions"]:
        lines.append("This study was begun before definitions were fixed: an edit of its study.json cannot be seen.")
    if not basis.ranked:
        lines.append(f"Energy is not measured here ({basis.reason}): it is shown hatched, with ≈, and never ranked.")
    if any(result["metric"] != metric for result in results):
        lines.append("The runs do not share one metric: their test results are not comparable.")
    keys = {arm["net_key"] for arm in study.plan["arms"]}
    if None in keys:
        names = ", ".join(arm["name"] for arm in study.plan["arms"] if arm["net_key"] is None)
        lines.append(f"Net or data of {names} are not known to be those of another arm: no difference is taken.")
    elif len(keys) > 1:
        lines.append(f"The arms have {len(keys)} different nets or data sets: differences are taken within each only.")
    dirty = sum(bool((run.record["git"] or {}).get("dirty")) for run in study.runs if run.finished and run.record)
    if dirty:
        lines.append(f"{dirty} of the runs used code that differed from its commit.")
    short = [run for run in study.runs if run.finished and basis.ranked and _too_short(run)]
    if short:
        lines.append(
            f"In {len(short)} runs the training window is so short that the meter's ticks may err by 5 % or more."
        )
    return [*lines, *study.warnings]


def _too_short(run: Run) -> bool:
    window = (run.record or {})["energy"].get("train")
    return bool(window and window["warnings"])


def _listed(run: Run, basis: Basis) -> dict[str, Any]:
    """One run as the report lists it."""
    record = run.record
    entry = {key: getattr(run, key) for key in ("arm", "seed", "budget", "order", "status", "error")}
    if record is None:
        return {**entry, "record_sha256": None}
    numbers = values(run, basis) if run.finished else {}
    return {
        **entry,
        **numbers,
        "config_sha256": record["config_sha256"],
        "record_sha256": record["record_sha256"],
        "predictions_sha256": record["result"]["predictions_sha256"],
        "resumes": record["resumes"],
        "energy_left_out": no_energy(run, basis) if run.finished and basis.ranked else "",
        "command": record["command"],
        "started": record["started"],
    }
