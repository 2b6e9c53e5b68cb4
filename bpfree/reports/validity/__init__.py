"""Validity: what cannot be true of an honest comparison, and the claims that it voids. Asked before anything is said.

Each kind of fault has spoiled a published study. A check reads the records of the runs and yields a `Fault` for each
thing that it finds; no fault is repaired or hidden.
"""

from collections.abc import Callable, Iterator

from bpfree.reports.study import Study
from bpfree.reports.validity import arms, code, copies, definition, pairing, running, selection, spread
from bpfree.reports.validity.fault import Fault
from bpfree.reports.validity.finished import Finished

CHECKS: tuple[Callable[[Finished], Iterator[Fault]], ...] = (
    *definition.CHECKS,
    *copies.CHECKS,
    *arms.CHECKS,
    *pairing.CHECKS,
    *code.CHECKS,
    *selection.CHECKS,
    *spread.CHECKS,
    *running.CHECKS,
)


def faults(study: Study) -> list[Fault]:
    """All faults of a study, those of the studies that it was gathered from first.

    An empty list does not prove that there is none. The time it takes is in proportion to the number of runs.

    Args:
        study: with the records of its runs.
    """
    done = Finished(study)
    return [*dict.fromkeys([*study.inherited, *(fault for check in CHECKS for fault in check(done))])]
