"""Provenance tables: the boundary and the quality of the meter, memory against depth, and versions of everything."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bpfree.reports.measures import Basis
from bpfree.reports.study import Run

DEPTH_KEYS = ("hidden", "channels", "depth", "layers")


def depth(done: Sequence[Run]) -> list[dict[str, Any]]:
    """Working memory against depth, a series for each rule that ran at several depths."""
    points: dict[str, dict[int, list[int]]] = {}
    for run in done:
        record = run.record or {}
        depth = next((_depth_of(record["config"][key]) for key in DEPTH_KEYS if record["config"].get(key)), None)
        live = record["memory"]["live_bytes"]
        if depth and live:
            points.setdefault(record["algo"], {}).setdefault(depth, []).append(live)
    return [
        {"algo": algo, "points": [[depth, sum(lives) / len(lives), len(lives)] for depth, lives in sorted(at.items())]}
        for algo, at in points.items()
        if len(at) > 1
    ]


def _depth_of(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else value if isinstance(value, int) else None


def boundary(done: Sequence[Run], basis: Basis) -> list[dict[str, Any]]:
    """The components of the runs' meters.

    Args:
        done: the finished runs.
        basis: the components whose energy counts.

    Returns:
        For each component its label, boundary and source, and whether it counts.
    """
    parts: dict[tuple, dict[str, Any]] = {}
    for run in done:
        for name, part in (run.record or {})["meter"].get("components", {}).items():
            key = (name, part["method"], part["source"], part["reason"])
            counted = (name, part["method"]) in basis.parts or (not basis.ranked and part["method"] != "unavailable")
            entry = {k: part[k] for k in ("method", "source", "boundary", "uncertainty", "reason", "refused")}
            parts.setdefault(key, {"component": name, "counted": counted, "runs": 0, **entry})["runs"] += 1
    return list(parts.values())


def meter(done: Sequence[Run], basis: Basis) -> list[dict[str, Any]]:
    """Quality of the measurement.

    Args:
        done: the finished runs.
        basis: the components whose energy counts.

    Returns:
        An entry for each component that counts, or that was estimated where none was measured.
    """
    quality = []
    names = basis.components or sorted({n for run in done for n in (run.record or {})["meter"].get("components", {})})
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


def provenance(done: Sequence[Run]) -> dict[str, Any]:
    """Device, versions, data and commit: every distinct value over the runs, most common first."""
    records = [run.record for run in done if run.record]
    by_run = {
        "device": [(r["device"] or {}).get("name") for r in records],
        "driver": [(r["device"] or {}).get("driver") for r in records],
        "threads": [r["threads"] for r in records],
        "processes": [r["processes"] for r in records],
        "precision": [r["config"].get("precision") for r in records],
        "peak memory measured as": [r["memory"]["method"] for r in records],
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
    distinct = {
        key: [str(value) for value, _ in Counter(values).most_common() if value not in (None, "")]
        for key, values in by_run.items()
    }
    return {**{key: texts for key, texts in distinct.items() if texts}, "from": started[:1], "to": ended[-1:]}
