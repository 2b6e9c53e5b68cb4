"""Sentences of a report: a difference, equivalence, or "cannot conclude because …"; there is no fourth kind."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bpfree.reports import statistics
from bpfree.reports.formatting import change, unsigned
from bpfree.reports.measures import COMPARED, ENERGY, MEMORY, TEST, Basis, Measure
from bpfree.reports.validity.finished import named
from energy.labels import is_measured

DIFFERENCE, EQUIVALENT, CANNOT = "difference", "equivalent", "cannot conclude"
Comparison = Mapping[str, Any]


def verdict(c: Comparison, basis: Basis, margin_pp: float, drift: Comparison | None) -> dict[str, Any]:
    """The conclusion that a comparison allows.

    Args:
        c: the comparison, corrected for its family.
        basis: the components whose energy counts.
        margin_pp: percentage points within which two arms count as equivalent.
        drift: the A/A comparison of the same budget and measure, where it differs by more than chance; else None.

    Returns:
        ``verdict`` (None for an A/A comparison), ``because`` (the reason of "cannot conclude": a fault comes first) and
        ``sentence``.
    """
    measure = next(m for m in COMPARED if m.key == c["measure"])
    because = _fault(c)
    if c["aa"]:
        return {"verdict": None, "because": because, "sentence": _noise(c, measure.noun, because)}
    if because:
        return _cannot(c, measure, because)
    trusted = drift is None and not _too_few(c)
    if trusted and c["equivalence"] and c["equivalence"]["equivalent"]:
        sentence = (
            f"{c['a']} and {c['b']} give the same test result within ±{margin_pp:g} points "
            f"({change(c, c['mean'])} points, 90 % CI {_range(c, c['equivalence'])}, {_pairs(c)})."
        )
        return {"verdict": EQUIVALENT, "because": "", "sentence": sentence}
    if trusted and c["sd"] == c["mean"] == 0 and (measure is not ENERGY or basis.ranked):
        sentence = f"{c['a']} and {c['b']} have exactly the same {measure.noun} in every pair ({_pairs(c)})."
        return {"verdict": EQUIVALENT, "because": "", "sentence": sentence}
    if because := _because(c, measure, basis, drift):
        return _cannot(c, measure, because)
    return {"verdict": DIFFERENCE, "because": "", "sentence": _difference(c, measure, basis)}


def _cannot(c: Comparison, measure: Measure, because: str) -> dict[str, Any]:
    sentence = f"Cannot conclude whether {c['a']} and {c['b']} differ in {measure.noun}, because {because}."
    return {"verdict": CANNOT, "because": because, "sentence": sentence}


def _fault(c: Comparison) -> str:
    """The first fault that voids a comparison, and how many more do; "": none."""
    if not c["faults"]:
        return ""
    first, more = c["faults"][0].removeprefix(f"{c['budget']}: "), len(c["faults"]) - 1
    return first + (f" (and {more} more fault{'s' if more > 1 else ''})" if more else "")


def _pairs(c: Comparison) -> str:
    """Number of pairs that were compared, and the runs that are missing."""
    return "; ".join([f"n = {c['n']} pairs", *_missing(c)])


def _missing(c: Comparison) -> list[str]:
    """The runs that are not compared: those that did not finish, and those that may not count, by their reason."""
    missing = [f"{k} of {n} seeds of {arm} finished" for arm, k, n in c["seeds"] if k < n]
    reasons: dict[str, list[int]] = {}
    for text in c["left_out"]:
        seed, _, reason = text.removeprefix("seed ").partition(": ")
        reasons.setdefault(reason, []).append(int(seed))
    return missing + [f"left out: {named(seeds)}: {reason}" for reason, seeds in reasons.items()]


def sentences(comparisons: Sequence[Comparison], basis: Basis) -> list[dict[str, Any]]:
    """The verdicts in reading order; one sentence for all energies when none was measured.

    Args:
        comparisons: with their verdicts.
        basis: the components whose energy counts.

    Returns:
        One JSON object a sentence: ``kind``, ``budget``, ``measure``, the arms ``a`` and ``b``, ``text``.
    """
    lines = [
        {
            "kind": "aa" if c["aa"] else c["verdict"],
            "budget": c["budget"],
            "measure": c["measure"],
            "a": c["a"],
            "b": c["b"],
            "text": c["sentence"],
        }
        for c in comparisons
        if c["measure"] != ENERGY.key or basis.ranked
    ]
    if not basis.ranked:
        text = f"Cannot conclude which arm uses less energy, because {basis.reason}. No energy ranking is given."
        lines.insert(0, {"kind": CANNOT, "budget": None, "measure": ENERGY.key, "a": None, "b": None, "text": text})
    return lines


def copy_differs(copy: Comparison) -> bool:
    """True when an A/A arm differs from the arm that it repeats by more than chance would have it."""
    if copy["low"] is None or _covers_zero(copy):
        return False
    return copy["p_holm"] is None or copy["p_holm"] < statistics.ALPHA


def drift_text(drift: Comparison) -> str:
    """The fault that an A/A arm shows by differing from the arm that it repeats."""
    amount = f"{change(drift, drift['mean'])} ({_range(drift, drift)})"
    return f"the A/A arm, which repeats {drift['b']}, differs from it by {amount}"


def _difference(c: Comparison, measure: Measure, basis: Basis) -> str:
    more = c["mean"] > 0 if measure is not TEST or c["maximize"] else c["mean"] < 0
    amount = unsigned(change(c, c["mean"])) + (" points" if c["points"] else "")
    if amount.partition(" ")[0] == "0.00":
        amount = f"under 0.01{amount[4:]}"
    claim = f"{c['a']} {(measure.more if more else measure.less).format(amount)} {c['b']}"
    if c["p"] is None:
        return f"{claim} (the same in all {_pairs(c)})."
    label = f", {basis.method}, {' + '.join(basis.components)}" if measure is ENERGY else ""
    holm = "" if c["p_holm"] is None else f", Holm p {_p(c['p_holm'])}"
    return f"{claim} (95 % CI {_range(c, c)}{_points(c)}, {_pairs(c)}{label}{holm})."


def _because(c: Comparison, measure: Measure, basis: Basis, drift: Comparison | None) -> str:
    """The reason why nothing can be concluded; "": something can."""
    if measure is ENERGY and not basis.ranked:
        return f"energy was not measured: {basis.reason}"
    if measure is ENERGY:
        assert is_measured(basis.method)
    if _too_few(c):
        pairs = "only 1 pair" if c["n"] == 1 else f"only {c['n']} pairs" if c["n"] else "no pair"
        reason = f"{pairs} can be compared, and {statistics.MIN_PAIRS} are the least"
        return reason + (f" ({'; '.join(missing)})" if (missing := _missing(c)) else "")
    if drift is not None:
        return drift_text(drift)
    if c["p"] is None:  # no spread at all
        return "" if measure is MEMORY else "all pairs differ by exactly the same amount, which no two runs do"
    if c["p_holm"] is not None and c["p_holm"] < statistics.ALPHA:
        if measure is ENERGY and (bound := c["meter_bound"]) is None:
            return "the meter states no bound of its error: a source of one's own states tick_ms and highest_w"
        if measure is ENERGY and abs(math.expm1(c["mean"])) <= bound:
            return f"the meter's ticks alone may err by up to {bound:.1%} in a ratio of two windows: use longer runs"
        return ""
    needed = ""
    if c["pairs_needed"]:
        needed = (
            f"; about {c['pairs_needed']:,} pairs would show a difference as large as this "
            f"with power {statistics.POWER:g}"
        )
    if _covers_zero(c):
        return f"the 95 % interval {_range(c, c)}{_points(c)} covers zero with {_pairs(c)}{needed}"
    return (
        f"the difference does not survive Holm's correction for {c['family']} comparisons (p {_p(c['p_holm'])}){needed}"
    )


def _noise(c: Comparison, noun: str, fault: str) -> str:
    """The sentence of an A/A comparison: two sets of runs of one arm, whose differences are noise."""
    both = f"{c['b']} and its repeat"
    if fault:
        return f"The noise of {noun} between {both} cannot be stated, because {fault}."
    if c["low"] is None:
        return f"Too few pairs of {both} to state the noise of {noun}."
    if copy_differs(c):
        covers = "it does NOT cover zero: more than the rule differs"
    elif _covers_zero(c):
        covers = "it covers zero, as it must"
    else:
        covers = f"it misses zero, as one of {c['family']} such intervals may by chance (Holm's p {_p(c['p_holm'])})"
    return f"{both} differ in {noun} by {_range(c, c)}{_points(c)} (A/A, 95 % CI, n = {c['n']} pairs): {covers}."


def _too_few(c: Comparison) -> bool:
    return c["n"] < statistics.MIN_PAIRS


def _covers_zero(c: Comparison) -> bool:
    return c["low"] <= 0 <= c["high"]


def _points(c: Comparison) -> str:
    return " points" if c["points"] else ""


def _range(c: Comparison, interval: Mapping[str, Any]) -> str:
    return f"{change(c, interval['low'])} to {change(c, interval['high'])}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
