"""``build(study)``: everything a report says, computed once, as one JSON object that all files are drawn from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bpfree.errors import InputError
from bpfree.reports import provenance, statistics
from bpfree.reports.comparisons import POINTS, comparisons, sentences
from bpfree.reports.measures import Basis, basis, joules, no_energy, values
from bpfree.reports.study import Run, Study, faults
from energy.carbon import Intensity, co2e
from energy.labels import worst

SCHEMA = "bpfree-report/1"
QUICK = "budget reached, not converged"
MOST_POINTS = 80  # of one curve
WINDOWS = ("setup", "train", "validate", "save", "predict")


def build(study: Study, at: Intensity | None = None, pue: float = 1.0) -> dict[str, Any]:
    """The report of a study as JSON (schema ``bpfree-report/1``). ``at``: carbon intensity, for a derived CO2e.

    Raises InputError when no run has finished: there is nothing to report.
    """
    done = [run for run in study.runs if run.finished]
    if not done:
        whys = "; ".join(study.warnings[:3])
        raise InputError(
            "no run of this study has finished: there is nothing to report" + (f" ({whys})" if whys else "")
        )
    found, plan = basis(done), study.plan
    made = comparisons(study, found)
    results = [run.record["result"] for run in done if run.record]
    metric = Counter(result["metric"] for result in results).most_common(1)[0][0]
    fake = any(run.record["fake"] for run in done if run.record)
    return {
        "schema": SCHEMA,
        "name": plan["name"],
        "question": plan["question"],
        "created": plan["created"],
        "quick": plan["quick"],
        "quick_note": QUICK if plan["quick"] else "",
        "fake": fake,
        "metric": {"name": metric, "points": metric in POINTS, "maximize": results[0]["direction"] == "max"},
        "level": statistics.LEVEL,
        "margin_pp": plan["margin_pp"],
        "target": plan["target"],
        "seeds": plan["seeds"],
        "data": plan["data"],
        "energy": {
            "ranked": found.ranked,
            "method": found.method,
            "components": found.components,
            "reason": found.reason,
            "left_out": [f"{_run(run)}: {why}" for run in done if (why := no_energy(run, found))]
            if found.ranked
            else [],
        },
        "co2e": None if at is None else {**asdict(at), "pue": pue, "method": "derived"},
        "warnings": _warnings(study, found, fake, metric, results),
        "faults": faults(study),
        "verdicts": sentences(made, found),
        "arms": [_arm(arm) for arm in plan["arms"]],
        "budgets": [_budget(study, found, name, at, pue) for name in plan["budgets"]],
        "comparisons": made,
        "depth": provenance.depth(done),
        "boundary": provenance.boundary(done, found),
        "meter": provenance.meter(done, found),
        "idle": plan["idle"],
        "provenance": provenance.provenance(done),
        "runs": [_listed(run, found) for run in sorted(study.runs, key=lambda r: (r.order is None, r.order or 0))],
    }


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    return {key: arm[key] for key in ("name", "algo", "role", "twin_of", "net_key", "settings", "search")}


def _run(run: Run) -> str:
    return f"{run.arm}, seed {run.seed}, {run.budget}"


def _warnings(study: Study, found: Basis, fake: bool, metric: str, results: Sequence[Mapping[str, Any]]) -> list[str]:
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
    if not found.ranked:
        lines.append(f"Energy is not measured here ({found.reason}): it is shown hatched, with ≈, and never ranked.")
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
    short = [run for run in study.runs if run.finished and found.ranked and _too_short(run)]
    if short:
        lines.append(
            f"In {len(short)} runs the training window is so short that the meter's ticks may err by 5 % or more."
        )
    return [*lines, *study.warnings]


def _too_short(run: Run) -> bool:
    window = (run.record or {})["energy"].get("train")
    return bool(window and window["warnings"])


def _budget(study: Study, found: Basis, budget: str, at: Intensity | None, pue: float) -> dict[str, Any]:
    rows = [_row(study, found, budget, arm, at, pue) for arm in study.arms if study.of(arm, budget)]
    x = "energy_j" if found.ranked else "train_s"
    return {
        "name": budget,
        "note": QUICK if study.plan["quick"] else "",
        "rows": rows,
        "pareto": {"x": x, "fronts": _fronts(study, rows, x)},
        "curves": {arm: _curves(study.of(arm, budget), found) for arm in study.arms if study.of(arm, budget)},
        "windows": {arm: _windows(study.of(arm, budget), found) for arm in study.arms if study.of(arm, budget)},
    }


def _row(study: Study, found: Basis, budget: str, arm: str, at: Intensity | None, pue: float) -> dict[str, Any]:
    runs = study.of(arm, budget)
    done = [run for run in runs if run.finished]
    seeds, target = study.plan["seeds"], study.plan["target"]
    planned = max(len(runs), len(seeds))
    each = [values(run, found) for run in done]
    for run, value in zip(done, each, strict=True):
        if found.ranked and no_energy(run, found):
            value["energy_j"] = value["all_j"] = None
    first = done[0].record if done else None
    direction = (first or {}).get("result", {}).get("direction", "max")
    whole = _summary([value["all_j"] for value in each])
    hits = (
        statistics.reached([*(v["test"] for v in each), *[None] * (planned - len(done))], target, direction == "max")
        if target is not None
        else None
    )
    spent = [_to_target(run, found, target, direction == "max") for run in done] if target is not None else []
    return {
        "arm": arm,
        "planned": planned,
        "finished": len(done),
        "failed": [
            {"seed": run.seed, "status": run.status, "error": run.error}
            for run in runs
            if run.status in ("failed", "stopped")
        ],
        "reached": None if hits is None else {"k": hits[0], "n": hits[1], "target": target},
        "converged": sum(_converged(run) for run in done),
        "test": _summary([value["test"] for value in each]),
        "val": _summary([value["val"] for value in each]),
        "energy_j": _summary([value["energy_j"] for value in each]),
        "all_j": whole,
        "to_target_j": _summary(spent) if hits and hits[0] == hits[1] and None not in spent else None,
        "train_s": _summary([value["train_s"] for value in each]),
        "cpu_s": _summary([value["cpu_s"] for value in each]),
        "live_bytes": _summary([value["live_bytes"] for value in each]),
        "peak_bytes": _summary([value["peak_bytes"] for value in each]),
        "data_passes": _summary([value["data_passes"] for value in each]),
        "forwards": (first or {}).get("forwards"),
        "parameters": (first or {}).get("parameters"),
        "method": worst(
            run.record["energy"]["train"]["method"] for run in done if run.record and "train" in run.record["energy"]
        )
        if not found.ranked
        else found.method,
        "estimate": not found.ranked,
        "co2e_g": None if at is None or whole["mean"] is None else 1e3 * co2e(whole["mean"], at, pue)["kg"],
    }


def _summary(numbers: Sequence[float | None]) -> dict[str, Any]:
    """Mean with intervals of the values that are there; ``n`` counts these, ``values`` keeps every run's."""
    return {**asdict(statistics.summary([x for x in numbers if x is not None])), "values": list(numbers)}


def _converged(run: Run) -> bool:
    """Whether the stopping rule ended every phase before its epochs were used up."""
    record = run.record or {}
    config = record["config"]
    if not config.get("patience") or not record["history"]:
        return False
    allowed, ended = record["phases"], {e.get("phase"): e["epoch"] for e in record["history"]}
    begun = [0, *ended.values()]
    used = {phase: end - start for (phase, end), start in zip(ended.items(), begun, strict=False)}
    most = {phase: allowed.get(phase, config.get("epochs", 0)) for phase in used}
    return all(used[phase] < most[phase] or most[phase] == 1 for phase in used)  # nothing stops in a single epoch


def _spent(entry: Mapping[str, Any], run: Run, found: Basis) -> float | None:
    """Joules of training up to the end of an epoch, on the basis of the study."""
    parts = entry.get("train_j") or {}
    names = found.components if found.ranked else list(parts)
    known = [parts.get(name) for name in names]
    return sum(j for j in known if j is not None) if known and None not in known else None


def _to_target(run: Run, found: Basis, target: float | None, maximize: bool) -> float | None:
    for entry in (run.record or {})["history"]:
        value = entry.get("val")
        if value is not None and target is not None and (value >= target if maximize else value <= target):
            return None if no_energy(run, found) and found.ranked else _spent(entry, run, found)
    return None


def _curves(runs: Sequence[Run], found: Basis) -> list[dict[str, Any]]:
    """For each seed points ``[train s, J or None, validation metric]``, at most 80 of them."""
    curves = []
    for run in runs:
        if not run.finished or run.record is None:
            continue
        points = [[entry["train_s"], _spent(entry, run, found), entry["val"]] for entry in run.record["history"]]
        points = [point for point in points if point[2] is not None]
        step = max(1, -(-len(points) // MOST_POINTS))
        curves.append({"seed": run.seed, "points": [*points[:-1:step], *points[-1:]]})
    return curves


def _fronts(study: Study, rows: Sequence[Mapping[str, Any]], x: str) -> list[list[str]]:
    """Of each net the arms that no other arm beats in both, from left to right. The A/A arm is no arm of its own."""
    fronts = []
    for key in dict.fromkeys(arm["net_key"] for arm in study.plan["arms"] if arm["net_key"]):
        group = [
            (row[x]["mean"], row["test"]["mean"], row["arm"])
            for row in rows
            if study.arms[row["arm"]]["net_key"] == key
            and study.arms[row["arm"]]["role"] != "aa"
            and row[x]["mean"] is not None
            and row["test"]["mean"] is not None
        ]
        sign = 1 if all(r.record["result"]["direction"] == "max" for r in study.runs if r.record) else -1
        best: float | None = None
        front: list[str] = []
        for _cost, value, name in sorted(group, key=lambda item: (item[0], -sign * item[1])):
            if best is None or sign * value > best:
                best, front = sign * value, [*front, name]
        fronts.append(front)
    return fronts


def _windows(runs: Sequence[Run], found: Basis) -> dict[str, Any]:
    """Mean joules and seconds of each window."""
    records = [run.record for run in runs if run.finished and run.record]
    means: dict[str, Any] = {}
    for name in WINDOWS:
        windows = [record["energy"][name] for record in records if name in record["energy"]]
        each = [joules(window, found) for window in windows]
        known = [j for j in each if j is not None]
        means[name] = {
            "energy_j": sum(known) / len(known) if known else None,
            "seconds": sum(window["seconds"] for window in windows) / len(windows) if windows else None,
            "n": len(known),
        }
    return means


def _listed(run: Run, found: Basis) -> dict[str, Any]:
    record = run.record
    entry = {key: getattr(run, key) for key in ("arm", "seed", "budget", "order", "status", "error")}
    if record is None:
        return {**entry, "record_sha256": None}
    numbers = values(run, found) if run.finished else {}
    return {
        **entry,
        **numbers,
        "config_sha256": record["config_sha256"],
        "record_sha256": record["record_sha256"],
        "predictions_sha256": record["result"]["predictions_sha256"],
        "resumes": record["resumes"],
        "energy_left_out": no_energy(run, found) if run.finished and found.ranked else "",
        "command": record["command"],
        "started": record["started"],
    }
