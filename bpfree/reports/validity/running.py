"""Runs that went on at the same time: a clock and a counter cannot tell them apart.

Every reading says when it was metered, on the clock of the machine's boot. Times are void where two runs of one boot
overlap; joules where two share what was metered: all runs of a machine its processor, those of one board that board.
Accuracies and counts never are.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpfree.reports.measures import CPU_TIME, ENERGY, TIME, energy_basis
from bpfree.reports.study import Run
from bpfree.reports.validity.fault import COSTS, Fault, Measures, of_arms
from bpfree.reports.validity.finished import Finished, named, record
from energy.labels import is_measured

TIMES: Measures = frozenset({TIME.key, CPU_TIME.key})
UNKNOWN = (None, "", "unknown")  # boots that tell no machine from another
JOULES: Measures = frozenset({ENERGY.key})


@dataclass(frozen=True)
class Span:
    """A stretch of time that a run spent on something; ``training``: in its training window."""

    start: Any
    end: Any
    run: int
    training: bool


def overlapping_windows(done: Finished) -> Iterator[Fault]:
    """Training windows that overlap with any window of another run, finished or not, on one machine or board."""
    machines: dict[Hashable, list[Span]] = defaultdict(list)
    boards: dict[Hashable, list[Span]] = defaultdict(list)
    runs = [run for run in done.study.runs if run.record is not None]
    counted = energy_basis(done.runs).components
    for number, run in enumerate(runs):
        for name, window in record(run)["energy"].items():
            for boot, start, end in intervals(window):
                span = Span(start, end, number, name == "train")
                machines[boot].append(span)
                for board in _boards(run, counted):
                    boards[boot, board].append(span)
    during = "trained while another run was metered on the same"
    yield from _faults(runs, machines, TIMES, f"{during} machine: its time is not its own")
    if all(map(_is_board, counted)):
        yield from _faults(runs, boards, JOULES, f"{during} board: its energy counts both")
    else:  # a processor, memory or socket is shared by all runs of the machine
        yield from _faults(runs, machines, JOULES, f"{during} machine: its energy counts both")


def overlapping_runs(done: Finished) -> Iterator[Fault]:
    """Runs without metered intervals, of earlier versions, from whose start to end another one ran on their meter."""
    meters: dict[Hashable, list[Span]] = defaultdict(list)
    for number, run in enumerate(done.runs):
        made = record(run)
        dated = made["started"] and made["ended"] and made["started"] < made["ended"]
        if not dated or any(intervals(window) for window in made["energy"].values()):
            continue
        machine = (made["device"] or {}).get("boot")
        for part in made["meter"].get("components", {}).values():
            if is_measured(part["method"]):
                span = Span(made["started"], made["ended"], number, True)
                meters[machine, part["source"]].append(span)
    words = "ran at the same time as another run on one meter: each energy counts both"
    yield from _faults(done.runs, meters, COSTS, words)


CHECKS = (overlapping_windows, overlapping_runs)


def intervals(window: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """The metered stretches of a window: boot, start and end in s since it.

    Args:
        window: a reading (`energy.readings`); those of earlier versions keep no stretches.
    """
    by_boot = {**(window.get("earlier_boots") or {}), window.get("boot"): window.get("intervals") or []}
    return [
        (boot, start_s, end_s)
        for boot, pairs in by_boot.items()
        if boot not in UNKNOWN
        for start_s, end_s in pairs
        if start_s < end_s
    ]


def overlapped(spans: Sequence[Span]) -> set[int]:
    """The runs of which a training span overlaps with a span of another run.

    Of all spans, those overlap with one that start before its end, less those that end before its start.
    """
    owned: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        owned[span.run].append(span)
    edges = {run: _edges(own) for run, own in owned.items()}
    everything = _edges(spans)

    def count(edges: tuple[list, list], span: Span) -> int:
        starts, ends = edges
        return bisect_left(starts, span.end) - bisect_right(ends, span.start)

    return {span.run for span in spans if span.training and count(everything, span) > count(edges[span.run], span)}


def _edges(spans: Sequence[Span]) -> tuple[list, list]:
    return sorted(span.start for span in spans), sorted(span.end for span in spans)


def _faults(runs: Sequence[Run], places: dict[Hashable, list[Span]], measures: Measures, words: str) -> Iterator[Fault]:
    """A fault for each arm and budget with finished runs that overlap others in one of the places."""
    seeds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in sorted({number for spans in places.values() for number in overlapped(spans)}):
        if runs[number].finished:
            seeds[runs[number].arm, runs[number].budget].append(runs[number].seed)
    for (arm, budget), theirs in seeds.items():
        yield of_arms(f"{arm}, {named(theirs)}, {budget}: {words}", measures, [arm], budget)


def _is_board(component: str) -> bool:
    return component.startswith("gpu")


def _boards(run: Run, counted: Sequence[str]) -> Iterator[str]:
    """The boards whose counters metered a run, by identity where the meter knows it."""
    described = record(run)["meter"].get("components", {})
    for part in (described[name] for name in counted if _is_board(name) and name in described):
        yield from part.get("devices") or [part["source"]]
