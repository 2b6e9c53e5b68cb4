"""Code that is not the same for all runs: bpfree by its rooms, version or commit, numpy, torch, Python."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bpfree.reports.validity.fault import ALL, COSTS, Fault, of_arms
from bpfree.reports.validity.finished import Finished, named, record

Record = Mapping[str, Any]
OWN = ("bpfree",)
LIBRARIES = ("torch", "numpy")


def changed_code(done: Finished) -> Iterator[Fault]:
    """Runs of one arm that different versions of bpfree trained."""
    for (arm, budget), runs in done.groups.items():
        ways: dict[str, list[int]] = defaultdict(list)
        for run in runs[1:]:
            if way := _unlike_bpfree(record(runs[0]), record(run)):
                ways[way].append(run.seed)
        for way, seeds in ways.items():
            text = f"{arm}, {budget}: its runs are not of one {way} (seed {runs[0].seed} against {named(seeds)})"
            yield of_arms(text, ALL, [arm], budget)


def unequal_code(done: Finished) -> Iterator[Fault]:
    """Arms whose runs of one seed were made by different versions of bpfree, numpy, torch or Python."""
    kinds = (
        (_unlike_bpfree, ALL),
        (lambda one, two: _unlike_versions(one, two, LIBRARIES), ALL),
        (lambda one, two: _unlike_versions(one, two, ("python",)), COSTS),
    )
    for unlike, measures in kinds:
        for pairs in done.apart(unlike):
            text = f"{pairs.budget}: {pairs.arms} are not of one {pairs.difference} ({named(pairs.seeds)})"
            yield Fault(text, measures, pairs.groups, pairs.budget)


CHECKS = (changed_code, unequal_code)


def _unlike_bpfree(one: Record, two: Record) -> str:
    """The part of bpfree that differs; "": none. Where the code has no hash, the commit stands for it."""
    a, b = (made["extensions"].get("provenance", {}).get("rooms_sha256") for made in (one, two))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        rooms = sorted(room for room in {*a, *b} if a.get(room) != b.get(room))
        return f"code of bpfree ({', '.join(rooms)})" if rooms else ""
    commits = [(made["git"] or {}).get("commit") for made in (one, two)]
    if commits[0] != commits[1]:
        return f"commit of bpfree ({', '.join(str(commit)[:12] for commit in commits)})"
    return _unlike_versions(one, two, OWN)


def _unlike_versions(one: Record, two: Record, names: Sequence[str]) -> str:
    """The first of some packages that differs; "": none."""
    for name in names:
        versions = [made["versions"].get(name) for made in (one, two)]
        if versions[0] != versions[1]:
            return f"version of {name} ({', '.join(map(str, versions))})"
    return ""
