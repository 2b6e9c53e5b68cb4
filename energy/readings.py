"""Reading: the plain JSON that one window leaves behind, and the sum of two.

A reading: ``seconds``, ``cpu_seconds`` (this process and its finished children), ``edges``, ``total_j`` with
``method`` (the worst label it includes), ``by_method`` (J of each label apart, for rankings), ``includes`` and
``lacks`` (component names), ``err_bound`` (relative, of the edges alone, or None), ``fake``, ``within`` (the window
around a nested one, or None), ``warnings``, ``boot`` and ``intervals`` (the stretches of the window, [start, end] in s
since that boot, in order; ``earlier_boots``: those of a resumed run that began before it, by boot), and ``components``:
name -> ``energy_j`` (None when unavailable), ``method``, ``source``, ``boundary``, ``uncertainty``, ``devices`` (the
hardware that was read, by name), ``err_bound``, ``tick_ms``, ``highest_w``, ``reason``, ``fake``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from energy.clocks import UNKNOWN_BOOT
from energy.labels import UNAVAILABLE, is_measured, worst

Reading = dict[str, Any]
Intervals = Sequence[Sequence[float]]
WARN_ERR_BOUND = 0.05
LEAST_J = 1e-6  # no counter moves by less
TOUCH_S = 0.001  # stretches so close are one interval: no other run can fit in between


def component(source: Any, energy_j: float | None, fault: str) -> Reading:
    """One component's part of a window.

    Args:
        source: an `energy.Source`.
        energy_j: its joules in the window; None: not known.
        fault: the reason for which they do not count; empty: they do.
    """
    return {
        "energy_j": None if fault else energy_j,
        "method": UNAVAILABLE if fault else source.method,
        "source": source.source,
        "boundary": source.boundary,
        "uncertainty": source.sensor,
        "devices": list(source.devices),
        "tick_ms": source.tick_ms,
        "highest_w": source.highest_w,
        "reason": fault,
        "fake": source.fake,
    }


def compose(
    seconds: float,
    cpu_seconds: float,
    edges: int,
    components: Mapping[str, Reading],
    within: str | None,
    *,
    boot: str = UNKNOWN_BOOT,
    intervals: Intervals = (),
    earlier_boots: Mapping[str, Intervals] | None = None,
) -> Reading:
    """Compose a window's reading from its parts: parts too short to resolve are voided, bounds and labels are set.

    A measured component moves in ticks: an edge misses what was drawn since the last one, less than a tick at the
    highest power that the component can draw. The two edges of a stretch err in opposite senses, so ``edges`` edges
    err by less than edges/2 of that: err_bound = tick x highest power x edges / 2 / joules, whatever the power did. A
    window shorter than a tick, or in which the counter did not move, is not resolved: unavailable, not zero. The
    difference of its edges stays as ``unresolved_j``: in the sum of adjacent windows their shared edges cancel.

    Args:
        seconds: length of the window.
        cpu_seconds: CPU time in it, of this process and its finished children.
        edges: number of moments at which it began or ended.
        components: parts by name, from `component`.
        within: name of the window around it, or None.
        boot: identity of the boot that ``intervals`` count from.
        intervals: starts and ends of the window's stretches, in s since the boot.
        earlier_boots: intervals before the machine was booted again, or on another machine, by boot.
    """
    parts = {name: _bounded(part, seconds, edges) for name, part in components.items()}
    known = {name: part for name, part in parts.items() if part["energy_j"] is not None}
    by_method: dict[str, float] = {}
    for part in known.values():
        by_method[part["method"]] = by_method.get(part["method"], 0.0) + part["energy_j"]
    total_j = sum(by_method.values()) if known else None
    bounds = [part["err_bound"] for part in known.values()]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "edges": edges,
        "total_j": total_j,
        "method": worst(part["method"] for part in known.values()),
        "by_method": by_method,
        "includes": sorted(known),
        "lacks": sorted(parts.keys() - known.keys()),
        "err_bound": (
            sum(part["err_bound"] * part["energy_j"] for part in known.values()) / total_j
            if total_j and None not in bounds
            else None
        ),
        "fake": any(part["fake"] for part in known.values()),
        "within": within,
        "warnings": [text for name, part in parts.items() for text in _warnings(name, part)],
        "boot": boot,
        "intervals": [[round(moment_s, 6) for moment_s in pair] for pair in intervals],
        "earlier_boots": dict(earlier_boots or {}),
        "components": parts,
    }


def add(first: Reading, second: Reading) -> Reading:
    """Sum of the readings of two disjoint windows, as when a resumed run goes on with a saved one.

    A component that is unavailable in one of them is unavailable in the sum; one that only one of them has is kept.

    Args:
        first: reading of the earlier window.
        second: reading of the later window.
    """
    names = [*first["components"], *(name for name in second["components"] if name not in first["components"])]
    parts = {}
    for name in names:
        both = [reading["components"][name] for reading in (first, second) if name in reading["components"]]
        parts[name] = both[0] if len(both) == 1 else _add_parts(*both)
    boot = second["boot"]
    one, two = at_boot(first, boot), at_boot(second, boot)
    return compose(
        first["seconds"] + second["seconds"],
        first["cpu_seconds"] + second["cpu_seconds"],
        first["edges"] + second["edges"],
        parts,
        first["within"],
        boot=boot,
        intervals=merged([*one["intervals"], *two["intervals"]]),
        earlier_boots=_joined_boots(one["earlier_boots"], two["earlier_boots"]),
    )


def at_boot(reading: Mapping[str, Any], boot: str) -> Reading:
    """The reading with its ``intervals`` on the clock of another boot: those of its own go to ``earlier_boots``.

    Args:
        reading: the reading, which is left as it is; one of an older version has no intervals.
        boot: identity of the boot.
    """
    own, intervals = reading.get("boot", boot), reading.get("intervals", [])
    earlier = dict(reading.get("earlier_boots", {}))
    if own != boot:
        earlier = _joined_boots(earlier, {own: intervals})
        intervals = earlier.pop(boot, [])
    return {**reading, "boot": boot, "intervals": intervals, "earlier_boots": earlier}


def merged(intervals: Intervals) -> list[list[float]]:
    """Intervals in order, those that touch or overlap as one.

    >>> merged([[2.0, 3.0], [0.0, 1.0], [1.0, 1.5]])
    [[0.0, 1.5], [2.0, 3.0]]
    """
    apart: list[list[float]] = []
    for start_s, end_s in sorted(map(list, intervals)):
        if apart and start_s - apart[-1][1] <= TOUCH_S:
            apart[-1][1] = max(apart[-1][1], end_s)
        else:
            apart.append([start_s, end_s])
    return apart


def lacking(reading: Mapping[str, Any], name: str, reason: str, *, void: bool = False) -> Reading:
    """Add a component whose energy is not known to a reading.

    Args:
        reading: the reading, which is left as it is.
        name: of the component.
        reason: for which its energy is not known.
        void: the other components do not count either, as when the meter saw the simulation of another machine.
    """
    missing = {"energy_j": None, "method": UNAVAILABLE, "tick_ms": None, "reason": reason, "fake": False}
    blank: Reading = {"source": "", "boundary": "", "uncertainty": "", "devices": [], "highest_w": None}
    parts = {key: {**part, **missing} if void else part for key, part in reading["components"].items()}
    edges = reading["edges"], {**parts, name: {**blank, **missing}}
    moments = {key: reading[key] for key in ("boot", "intervals", "earlier_boots")}
    return compose(reading["seconds"], reading["cpu_seconds"], *edges, reading["within"], **moments)


def _add_parts(first: Reading, second: Reading) -> Reading:
    missing = None in (first["energy_j"], second["energy_j"])
    ticks = [part["tick_ms"] for part in (first, second) if part["tick_ms"] is not None]
    return {
        "energy_j": None if missing else first["energy_j"] + second["energy_j"],
        "method": worst((first["method"], second["method"])),
        **{key: _joined(first[key], second[key]) for key in ("source", "boundary", "uncertainty", "reason")},
        "devices": list(dict.fromkeys([*first.get("devices", ()), *second["devices"]])),
        "tick_ms": max(ticks, default=None),
        "highest_w": _highest(first, second),
        "fake": first["fake"] or second["fake"],
    }


def whole(readings: Iterable[Reading]) -> dict[str, Any]:
    """Sum up adjacent windows; one shorter than a tick counts too, as it shares its edges with its neighbours.

    Returns:
        ``energy_j`` and ``method``: None and "unavailable" when nothing is known of a window.
    """
    total_j, methods = 0.0, []
    for reading in readings:
        if reading["within"]:
            continue
        parts = reading["components"].values()
        joules = [part.get("unresolved_j") if part["energy_j"] is None else part["energy_j"] for part in parts]
        if not (known := [value for value in joules if value is not None]):
            return {"energy_j": None, "method": UNAVAILABLE}
        total_j += sum(known)
        methods += [part["method"] for part in parts if part["energy_j"] is not None]
    return {"energy_j": total_j if methods else None, "method": worst(methods)}


def _highest(*parts: Reading) -> float | None:
    """Highest power of components that are added; None where it is not known of one that moves in ticks."""
    stated = [part.get("highest_w") for part in parts if part["tick_ms"] is not None]
    known = [watts for watts in stated if watts is not None]
    return max(known, default=None) if len(known) == len(stated) else None


def ratio_bound(first: float | None, second: float | None) -> float | None:
    """Bound of the relative error of a quotient of two readings: about the sum of theirs, (a + b) / (1 - b).

    Args:
        first: ``err_bound`` of the reading above the line.
        second: ``err_bound`` of the reading below it.

    Returns:
        None where a bound is not known, or the reading below the line may be nothing but error.

    >>> round(ratio_bound(0.02, 0.02), 4)
    0.0408
    """
    if first is None or second is None or second >= 1:
        return None
    return (first + second) / (1 - second)


def _joined_boots(first: Mapping[str, Intervals], second: Mapping[str, Intervals]) -> dict[str, Intervals]:
    boots = dict.fromkeys([*first, *second])
    return {boot: merged([*first.get(boot, ()), *second.get(boot, ())]) for boot in boots}


def _joined(*texts: str) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _bounded(part: Reading, seconds: float, edges: int) -> Reading:
    """The part with its ``err_bound``; voided when the counter's ticks do not resolve the window."""
    if not is_measured(part["method"]) or part["tick_ms"] is None:
        return {**part, "err_bound": None}
    tick_s, energy_j, highest_w = part["tick_ms"] / 1e3, part["energy_j"], part.get("highest_w")
    if seconds < tick_s or energy_j < LEAST_J:
        shorter = f"a window of {1e3 * seconds:.3g} ms is shorter than one tick ({part['tick_ms']:.3g} ms)"
        still = f"the counter did not move in {seconds:.3g} s"
        why = f"not resolved: {shorter if seconds < tick_s else still}"
        lost = {"energy_j": None, "method": UNAVAILABLE, "reason": why, "err_bound": None}
        return {**part, **lost, "unresolved_j": energy_j}
    return {**part, "err_bound": 0.0 if tick_s == 0 else highest_w and tick_s * highest_w * edges / 2 / energy_j}


def _warnings(name: str, part: Reading) -> Iterable[str]:
    if part["err_bound"] is not None and part["err_bound"] > WARN_ERR_BOUND:
        yield (
            f"{name}: too short for a sharp claim: the counter's tick alone may err by up to {part['err_bound']:.0%}"
        )
