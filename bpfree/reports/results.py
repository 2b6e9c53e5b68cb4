"""Results of a study in one budget: a row an arm, and the series of its charts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bpfree.reports import statistics
from bpfree.reports.measures import Basis, joules, no_energy, values
from bpfree.reports.study import Run, Study
from energy.carbon import Intensity, co2e
from energy.labels import worst

MOST_POINTS = 80  # of one curve
WINDOWS = ("setup", "train", "validate", "save", "predict")
MEANS = (
    "test",
    "balanced_accuracy",
    "val",
    "energy_j",
    "all_j",
    "train_s",
    "cpu_s",
    "live_bytes",
    "peak_bytes",
    "data_passes",
)


def budget_results(study: Study, basis: Basis, budget: str, at: Intensity | None, pue: float) -> dict[str, Any]:
    """The numbers of a budget.

    Args:
        study: with the records of its runs.
        basis: the components whose energy counts.
        budget: its name.
        at: carbon intensity, for a derived CO2e; None: no CO2e.
        pue: power usage effectiveness.

    Returns:
        ``rows`` of the main table, ``pareto`` fronts, and for each arm ``curves`` and ``windows``.
    """
    runs = {arm: study.of(arm, budget) for arm in study.arms if study.of(arm, budget)}
    rows = [_row(study, basis, arm, runs[arm], at, pue) for arm in runs]
    x = "energy_j" if basis.ranked else "train_s"
    return {
        "rows": rows,
        "pareto": {"x": x, "fronts": _fronts(study, rows, x)},
        "curves": {arm: _curves(runs[arm], basis) for arm in runs},
        "windows": {arm: _windows(runs[arm], basis) for arm in runs},
    }


def _row(study: Study, basis: Basis, arm: str, runs: list[Run], at: Intensity | None, pue: float) -> dict[str, Any]:
    """One arm: how many runs finished, and the means over these."""
    done = [run for run in runs if run.finished]
    records = [run.record for run in done if run.record]
    planned = max(len(runs), len(study.plan["seeds"]))
    each = [values(run, basis) for run in done]
    for run, value in zip(done, each, strict=True):
        if basis.ranked and no_energy(run, basis):
            value["energy_j"] = value["all_j"] = None
    means = {key: _summary([value[key] for value in each]) for key in MEANS}
    first = records[0] if records else {}
    whole_j = means["all_j"]["mean"]
    methods = [record["energy"]["train"]["method"] for record in records if "train" in record["energy"]]
    maximize = first.get("result", {}).get("direction", "max") == "max"
    return {
        "arm": arm,
        "planned": planned,
        "finished": len(done),
        "failed": [
            {"seed": run.seed, "status": run.status, "error": run.error}
            for run in runs
            if run.status in ("failed", "stopped")
        ],
        **_reached(study.plan["target"], each, done, planned, maximize, basis),
        "converged": sum(_converged(run) for run in done),
        **means,
        "forwards": first.get("forwards"),
        "parameters": first.get("parameters"),
        "method": basis.method if basis.ranked else worst(methods),
        "estimate": not basis.ranked,
        "co2e_g": None if at is None or whole_j is None else 1e3 * co2e(whole_j, at, pue)["kg"],
    }


def _reached(
    target: float | None,
    each: Sequence[Mapping[str, float | None]],
    done: Sequence[Run],
    planned: int,
    maximize: bool,
    basis: Basis,
) -> dict[str, Any]:
    """``reached``: runs that reached the target; ``to_target_j``: the energy of getting there, where all runs did."""
    if target is None:
        return {"reached": None, "to_target_j": None}
    missing = [None] * (planned - len(done))  # a run that failed did not reach it
    k, n = statistics.reached([*(value["test"] for value in each), *missing], target, maximize)
    spent = [_to_target(run, basis, target, maximize) for run in done]
    return {
        "reached": {"k": k, "n": n, "target": target},
        "to_target_j": _summary(spent) if k == n and None not in spent else None,
    }


def _summary(numbers: Sequence[float | None]) -> dict[str, Any]:
    """Mean with intervals of the values that are there; ``n`` counts these, ``values`` keeps every run's."""
    return {**asdict(statistics.summary([x for x in numbers if x is not None])), "values": list(numbers)}


def _converged(run: Run) -> bool:
    """True when the stopping rule ended every phase before its epochs were used up."""
    record = run.record or {}
    config = record["config"]
    if not config.get("patience") or not record["history"] or record["limit"]:
        return False
    ended = {entry.get("phase"): entry["epoch"] for entry in record["history"]}
    begun = [0, *ended.values()]
    used = {phase: end - start for (phase, end), start in zip(ended.items(), begun, strict=False)}
    most = {phase: record["phases"].get(phase, config.get("epochs", 0)) for phase in used}
    return all(used[phase] < most[phase] or most[phase] == 1 for phase in used)  # nothing stops in a single epoch


def _spent(entry: Mapping[str, Any], basis: Basis) -> float | None:
    """Joules of training up to the end of an epoch, on the basis of the study."""
    parts = entry.get("train_j") or {}
    names = basis.components if basis.ranked else list(parts)
    known = [parts.get(name) for name in names]
    return sum(j for j in known if j is not None) if known and None not in known else None


def _to_target(run: Run, basis: Basis, target: float, maximize: bool) -> float | None:
    """Joules of training until validation first reached the target; None where they are not known."""
    for entry in (run.record or {})["history"]:
        value = entry.get("val")
        if value is not None and (value >= target if maximize else value <= target):
            return None if no_energy(run, basis) and basis.ranked else _spent(entry, basis)
    return None


def _curves(runs: Sequence[Run], basis: Basis) -> list[dict[str, Any]]:
    """For each seed points ``[train s, J or None, validation metric]``, at most 80 of them."""
    curves = []
    for run in runs:
        if not run.finished or run.record is None:
            continue
        points = [[entry["train_s"], _spent(entry, basis), entry["val"]] for entry in run.record["history"]]
        points = [point for point in points if point[2] is not None]
        step = max(1, -(-len(points) // MOST_POINTS))
        curves.append({"seed": run.seed, "points": [*points[:-1:step], *points[-1:]]})
    return curves


def _fronts(study: Study, rows: Sequence[Mapping[str, Any]], x: str) -> list[list[str]]:
    """Of each net the arms that no other arm beats in both, from left to right; without the A/A arm, a repeat."""
    sign = 1 if all(r.record["result"]["direction"] == "max" for r in study.runs if r.record) else -1
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
        best: float | None = None
        front: list[str] = []
        for _cost, value, name in sorted(group, key=lambda item: (item[0], -sign * item[1])):
            if best is None or sign * value > best:
                best, front = sign * value, [*front, name]
        fronts.append(front)
    return fronts


def _windows(runs: Sequence[Run], basis: Basis) -> dict[str, Any]:
    """Mean joules and seconds of each window."""
    records = [run.record for run in runs if run.finished and run.record]
    means: dict[str, Any] = {}
    for name in WINDOWS:
        windows = [record["energy"][name] for record in records if name in record["energy"]]
        each = [joules(window, basis) for window in windows]
        known = [j for j in each if j is not None]
        means[name] = {
            "energy_j": sum(known) / len(known) if known else None,
            "seconds": sum(window["seconds"] for window in windows) / len(windows) if windows else None,
            "n": len(known),
        }
    return means
