"""Inheritance: what voided a claim in a study, for a report that its runs are gathered into."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bpfree.reports.comparisons import comparisons, drifts
from bpfree.reports.measures import energy_basis
from bpfree.reports.study import EXTENSION, Run, Study
from bpfree.reports.validity import faults
from bpfree.reports.validity.fault import ALL, Fault, of_arms
from bpfree.reports.verdicts import drift_text

Names = Mapping[tuple[str, str], set[str]]  # arm and budget of a study -> arms that its runs are in now


def inherited_faults(study: Study, names: Names) -> Iterator[Fault]:
    """The faults of a study, and the drift of its A/A arm, on the arms that its runs were gathered into.

    Args:
        study: with the records of its runs.
        names: the arms that its arms became.
    """
    own = faults(study)
    done = [run for run in study.runs if run.finished]
    basis = energy_basis(done)
    for drift in drifts(comparisons(study, basis, own)):
        own.append(of_arms(drift_text(drift), frozenset({drift["measure"]}), study.arms, drift["budget"]))
    for fault in own:
        groups = [_renamed(group, fault.budget, names) for group in fault.groups]
        kept = tuple(group for group in groups if group)
        if len(kept) == len(fault.groups) or len(kept) > 1:
            yield replace(fault, text=f"study {study.plan['name']}: {fault.text}", groups=kept)


def _renamed(arms: frozenset[str], budget: str | None, names: Names) -> frozenset[str]:
    at = [new for (arm, its_budget), new in names.items() if arm in arms and budget in (None, its_budget)]
    return frozenset().union(*at)


def lost_studies(runs: Sequence[Run]) -> Iterator[Fault]:
    """Runs of a study without its ``study.json``: failed runs, faults, search and A/A arm cannot be seen.

    Args:
        runs: that no study given lists.
    """
    lost: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs:
        about = (run.record or {})["extensions"].get(EXTENSION, {})
        if about.get("definition_sha256"):
            lost[run.arm, str(about["definition_sha256"])[:12]] += 1
    for (arm, definition), count in lost.items():
        text = (
            f"{arm}: {count} of its runs are of a study (definition {definition}) whose study.json is not with them: "
            "what speaks against them cannot be seen"
        )
        yield of_arms(text, ALL, [arm])
