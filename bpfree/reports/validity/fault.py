"""Fault: a sentence, and the claims that it voids."""

from collections.abc import Iterable
from dataclasses import dataclass

from bpfree.reports.measures import CPU_TIME, ENERGY, MEMORY, TEST, TIME

Measures = frozenset[str]

METRIC: Measures = frozenset({TEST.key})
WORKING_MEMORY: Measures = frozenset({MEMORY.key})
COSTS: Measures = frozenset({ENERGY.key, TIME.key, CPU_TIME.key})
LEARNING: Measures = METRIC | COSTS  # of whatever changes how long and how well a run learns
ALL: Measures = LEARNING | WORKING_MEMORY


@dataclass(frozen=True)
class Fault:
    """Something that cannot be true of an honest comparison.

    Attributes:
        text: one sentence.
        measures: keys of the measures (`bpfree.reports.measures`) of which it voids every claim.
        groups: one set of arms: every comparison that an arm of it is in is void. Several: those between arms of
            different sets are.
        budget: that it is in; None: all.
    """

    text: str
    measures: Measures
    groups: tuple[frozenset[str], ...]
    budget: str | None = None

    def voids(self, a: str, b: str, budget: str, measure: str) -> bool:
        """True when a comparison cannot be made because of this fault.

        Args:
            a: first arm.
            b: second arm.
            budget: of the runs compared.
            measure: its key.
        """
        if measure not in self.measures or self.budget not in (None, budget):
            return False
        one, two = ([k for k, group in enumerate(self.groups) if arm in group] for arm in (a, b))
        return bool(one or two) if len(self.groups) == 1 else bool(one and two) and one != two


def of_arms(text: str, measures: Measures, arms: Iterable[str], budget: str | None = None) -> Fault:
    """A fault of some arms, whatever they are compared with.

    Args:
        text: one sentence.
        measures: keys of those that it voids.
        arms: names.
        budget: that it is in; None: all.
    """
    return Fault(text, measures, (frozenset(arms),), budget)
