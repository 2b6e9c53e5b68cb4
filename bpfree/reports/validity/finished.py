"""The finished runs of a study, looked up by arm and budget, and arms that ought to be equal in something."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bpfree.reports.study import Run, Study
from bpfree.reports.validity.fault import Fault, Measures, of_arms

MOST_NAMED = 8  # seeds in one sentence
Unlike = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]  # of two records: true, or in what way
Apart = Callable[[Mapping[Any, Sequence[str]]], str]  # value -> arms that have it, to the sentence of a fault


@dataclass
class Pairs:
    """Arms of one net whose runs of the same seed are unlike.

    Attributes:
        budget: of the runs.
        groups: arms whose runs are alike.
        difference: between the first two groups at the first of the seeds, in words where the check has some.
        seeds: at which it is so.
    """

    budget: str
    groups: tuple[frozenset[str], ...]
    difference: Any
    seeds: list[int] = field(default_factory=list)

    @property
    def arms(self) -> str:
        """The groups of arms in words."""
        return " and ".join(", ".join(sorted(group)) for group in self.groups)


class Finished:
    """The finished runs of a study, each looked at once.

    Attributes:
        study: that they are of.
        arms: name -> arm.
        runs: all of them, in the order of the study.
        groups: (arm, budget) -> runs.
    """

    def __init__(self, study: Study):
        self.study, self.arms = study, study.arms
        self.runs = [run for run in study.runs if run.finished]
        self.groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self._seeds: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
        for run in self.runs:
            self.groups[run.arm, run.budget].append(run)
            if net := self.arms[run.arm]["net_key"]:
                self._seeds[net, run.budget, run.seed].append(run)

    def unequal(
        self,
        value: Callable[[Run], Hashable],
        measures: Measures,
        mixed: str,
        apart: Apart,
        budgets: Iterable[str] = (),
    ) -> Iterator[Fault]:
        """Arms of one net that do not share a value, and arms whose own runs do not.

        Args:
            value: that is to be equal.
            measures: that are void where it is not.
            mixed: end of the sentence on an arm whose own runs differ.
            apart: the sentence on arms that differ from each other.
            budgets: to look at; empty: all.
        """
        nets: dict[tuple[str, str], dict[Any, list[str]]] = defaultdict(lambda: defaultdict(list))
        for (arm, budget), runs in self.groups.items():
            if budgets and budget not in budgets:
                continue
            values = {value(run) for run in runs}
            if len(values) > 1:
                yield of_arms(f"{arm}, {budget}: {mixed}", measures, [arm], budget)
            elif net := self.arms[arm]["net_key"]:
                nets[net, budget][values.pop()].append(arm)
        for (_, budget), arms in nets.items():
            if len(arms) > 1:
                yield Fault(f"{budget}: {apart(arms)}", measures, tuple(map(frozenset, arms.values())), budget)

    def apart(self, unlike: Unlike) -> Iterable[Pairs]:
        """Arms of one net that differ from each other in runs of one seed, gathered over the seeds.

        Args:
            unlike: whether two records differ; nothing differs from what it does not differ from.
        """
        pairs: dict[tuple[str, tuple[frozenset[str], ...]], Pairs] = {}
        for (_, budget, seed), runs in self._seeds.items():
            groups: list[list[Run]] = []
            for run in runs:
                group = next((group for group in groups if not unlike(record(group[0]), record(run))), None)
                groups.append([run]) if group is None else group.append(run)
            if len(groups) > 1:
                arms = tuple(frozenset(run.arm for run in group) for group in groups)
                difference = unlike(record(groups[0][0]), record(groups[1][0]))
                pairs.setdefault((budget, arms), Pairs(budget, arms, difference)).seeds.append(seed)
        return pairs.values()


def record(run: Run) -> dict[str, Any]:
    """The record of a run that left one."""
    assert run.record is not None
    return run.record


def trained_seed(run: Run) -> int:
    """The seed that a run was trained with, whatever it is listed as."""
    return int(record(run)["seed"])


def name(run: Run) -> str:
    """The name of a run in a sentence."""
    return f"{run.arm}, seed {run.seed}, {run.budget}"


def named(seeds: Iterable[int]) -> str:
    """Seeds in a sentence, the first few by name.

    >>> named([2, 0, 2]), named([1]), named(range(20))
    ('seeds 0 and 2', 'seed 1', 'seeds 0, 1, 2, 3, 4, 5, 6, 7 and 12 more')
    """
    distinct = sorted(set(seeds))
    if len(distinct) == 1:
        return f"seed {distinct[0]}"
    shown = distinct[:MOST_NAMED] if len(distinct) > MOST_NAMED else distinct[:-1]
    last = f"{len(distinct) - MOST_NAMED} more" if len(distinct) > MOST_NAMED else distinct[-1]
    return f"seeds {', '.join(map(str, shown))} and {last}"


def each(values: Mapping[Any, Iterable[str]]) -> str:
    """Arms and the value of each group of them, in words.

    >>> each({"torch 2": ["a", "b"], "torch 1": ["c"]})
    'a, b: torch 2; c: torch 1'
    """
    return "; ".join(f"{', '.join(arms)}: {value}" for value, arms in values.items())
