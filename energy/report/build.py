"""``build(study)``: everything a report says, computed once, as one JSON object that all files are drawn from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from energy import stats
from energy.carbon import Intensity, co2e
from energy.labels import EnergyError, worst
from energy.report.compare import POINTS, comparisons, sentences
from energy.report.measures import Basis, basis, joules, no_energy, values
from energy.study import OWN, Run, Study, faults

SCHEMA = "bpfree-report/1"
QUICK = "budget reached, not converged"
MOST_POINTS = 80  # of one curve
DEPTH_KEYS = ("hidden", "channels", "depth", "layers")
WINDOWS = ("setup", "train", "validate", "save", "predict")


def build(study: Study, at: Intensity | None = None, pue: float = 1.0) -> dict[str, Any]:
    """The report of a study as JSON (schema ``bpfree-report/1``). ``at``: carbon intensity, for a derived CO2e.

    Raises EnergyError when no run has finished: there is nothing to report.
    """
    done = [run for run in study.runs if run.finished]
    if not done:
        whys = "; ".join(study.warnings[:3])
        raise EnergyError(
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
        "level": stats.LEVEL,
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
        "depth": _depth(done),
        "boundary": _boundary(done, found),
        "meter": _meter(study, done, found),
        "idle": plan["idle"],
        "provenance": _provenance(done),
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
        stats.reached([*(v["test"] for v in each), *[None] * (planned - len(done))], target, direction == "max")
        if target
        else None
    )
    spent = [_to_target(run, found, target, direction == "max") for run in done] if target is not None else []
    return {
        "arm": arm,
        "planned": planned,
        "finished": len(done),
        "failed": [{"seed": run.seed, "status": run.status, "error": run.error} for run in runs if not run.finished],
        "reached": None if hits is None else {"k": hits[0], "n": hits[1], "target": target},
        "converged": sum(_converged(run) for run in done),
        "test": _summary([value["test"] for value in each]),
        "val": _summary([value["val"] for value in each]),
        "energy_j": _summary([value["energy_j"] for value in each]),
        "all_j": whole,
        "to_target_j": _summary(spent) if hits and hits[0] == hits[1] and None not in spent else None,
        "train_s": _summary([value["train_s"] for value in each]),
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
    return {**asdict(stats.summary([x for x in numbers if x is not None])), "values": list(numbers)}


def _converged(run: Run) -> bool:
    """Whether the stopping rule ended every phase before its epochs were used up."""
    record = run.record or {}
    config = record["config"]
    if not config.get("patience") or not record["history"]:
        return False
    phases = Counter(entry.get("phase") for entry in record["history"])
    return max(phases.values()) < config.get("epochs", 0)


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


def _depth(done: Sequence[Run]) -> list[dict[str, Any]]:
    """Peak memory of runs that differ in depth: one series a rule; empty when no rule ran at several depths."""
    points: dict[str, dict[int, list[int]]] = {}
    for run in done:
        record = run.record or {}
        depth = next((_depth_of(record["config"][key]) for key in DEPTH_KEYS if record["config"].get(key)), None)
        peak = record["memory"]["peak_bytes"]
        if depth and peak:
            points.setdefault(record["algo"], {}).setdefault(depth, []).append(peak)
    return [
        {"algo": algo, "points": [[depth, sum(peaks) / len(peaks), len(peaks)] for depth, peaks in sorted(at.items())]}
        for algo, at in points.items()
        if len(at) > 1
    ]


def _depth_of(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else value if isinstance(value, int) else None


def _boundary(done: Sequence[Run], found: Basis) -> list[dict[str, Any]]:
    """Each component that any run knew of: label, what it includes, what reads it, and whether it counts here."""
    parts: dict[tuple, dict[str, Any]] = {}
    for run in done:
        for name, part in (run.record or {})["meter"].get("components", {}).items():
            key = (name, part["method"], part["source"], part["reason"])
            counted = (name, part["method"], part["source"]) in found.parts or (
                not found.ranked and part["method"] != "unavailable"
            )
            entry = {k: part[k] for k in ("method", "source", "boundary", "uncertainty", "reason", "refused")}
            parts.setdefault(key, {"component": name, "counted": counted, "runs": 0, **entry})["runs"] += 1
    return list(parts.values())


def _meter(study: Study, done: Sequence[Run], found: Basis) -> list[dict[str, Any]]:
    """Quality of the measurement, an entry for each component that counts (or that was estimated)."""
    quality = []
    names = found.components or sorted({n for run in done for n in (run.record or {})["meter"].get("components", {})})
    for name in names:
        parts, windows, about = [], [], []
        for run in done:
            record = run.record or {}
            window = record["energy"].get("train")
            if window and name in window["components"]:
                windows.append(window["seconds"])
                parts.append(window["components"][name])
                about.append(record["meter"].get("components", {}).get(name, {}))
        power = [p["energy_j"] / s for p, s in zip(parts, windows, strict=True) if p["energy_j"] is not None and s]
        starts = [item["start"] for item in about if item.get("start")]
        during = [item["during"] for item in about if item.get("during")]
        quality.append(
            {
                "component": name,
                "tick_ms": _most(part["tick_ms"] for part in parts),
                "window_s": [min(windows), max(windows)] if windows else None,
                "err_bound": _most(part["err_bound"] for part in parts),
                "power_w": [min(power), max(power)] if power else None,
                "start_c": _span(start.get("temperature_c") for start in starts),
                "hottest_c": _most(seen.get("hottest_c") for seen in during),
                "throttling": sorted({word for seen in during for word in seen.get("throttling", [])}),
                "runs_with_other_processes": sum(bool(seen.get("other_pids")) for seen in during),
                "power_limit_w": _span(start.get("power_limit_w") for start in starts),
                "sm_clock_mhz": _span(start.get("sm_clock_mhz") for start in starts),
                "persistence_mode": sorted({str(start.get("persistence_mode")) for start in starts}),
            }
        )
    return quality


def _most(numbers: Any) -> float | None:
    return max((number for number in numbers if number is not None), default=None)


def _span(numbers: Any) -> list[float] | None:
    known = [number for number in numbers if number is not None]
    return [min(known), max(known)] if known else None


def _provenance(done: Sequence[Run]) -> dict[str, Any]:
    """Every distinct value over the runs, most common first."""
    records = [run.record for run in done if run.record]
    facts = {
        "device": [(r["device"] or {}).get("name") for r in records],
        "driver": [(r["device"] or {}).get("driver") for r in records],
        "threads": [r["threads"] for r in records],
        "processes": [r["extra"].get("processes") for r in records],
        "precision": [r["config"].get("precision") for r in records],
        "memory measured as": [r["memory"]["method"] for r in records],
        "commit": [
            f"{r['git']['commit'][:12]}{' (changed)' if r['git']['dirty'] else ''}" if r["git"] else None
            for r in records
        ],
        "data": [f"{r['data']['name']} (sha256 {str(r['data']['sha256'])[:12]})" for r in records],
        "rows": [
            ", ".join(f"{part} {rows:,}" for part, rows in (r["data"].get("rows") or {}).items()) for r in records
        ],
        "run schema": [r["schema"] for r in records],
        **{
            name: [r["versions"].get(name) for r in records]
            for name in dict.fromkeys(k for r in records for k in r["versions"])
        },
    }
    started = sorted(r["started"] for r in records if r["started"])
    ended = sorted(r["ended"] for r in records if r["ended"])
    found = {
        key: [str(value) for value, _ in Counter(given).most_common() if value not in (None, "")]
        for key, given in facts.items()
    }
    return {**{key: value for key, value in found.items() if value}, "from": started[:1], "to": ended[-1:]}


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


__all__ = ["OWN", "SCHEMA", "build"]
