"""Numbers that cannot come from the runs: no spread, or a stated mean that their results do not have."""

from collections.abc import Iterator

from bpfree.reports import statistics
from bpfree.reports.study import Run
from bpfree.reports.validity.copies import FEW_ROWS, of_one_class
from bpfree.reports.validity.fault import METRIC, Fault, of_arms
from bpfree.reports.validity.finished import Finished, record, trained_seed


def no_spread(done: Finished) -> Iterator[Fault]:
    """Several seeds with one test result to the last digit."""
    for (arm, budget), runs in done.groups.items():
        results = {record(run)["result"]["test"] for run in runs if _can_spread(run)}
        many = len({trained_seed(run) for run in runs}) >= statistics.MIN_PAIRS
        if many and len(results) == 1 and not results & {0.0, 1.0, None}:
            text = f"{arm}, {budget}: {len(runs)} seeds give one test result to the last digit"
            yield of_arms(text, METRIC, [arm], budget)


def stated_results(done: Finished) -> Iterator[Fault]:
    """Means and spreads, such as a paper's, that the runs they are stated of do not have (``stated`` of a study)."""
    for claim in done.study.plan["stated"]:
        arm, budget = claim["arm"], claim["budget"]
        values = [record(run)["result"]["test"] for run in done.groups.get((arm, budget), [])]
        if not statistics.spread_is_possible(claim, [value for value in values if value is not None], claim["digits"]):
            spread = "" if claim["sd"] is None else f" ± {claim['sd']}"
            text = f"{arm}, {budget}: {claim['mean']}{spread} is stated, but cannot come from its runs"
            yield of_arms(text, METRIC, [arm], budget)


def _can_spread(run: Run) -> bool:
    rows = (record(run)["data"].get("rows") or {}).get("test") or FEW_ROWS
    return rows >= FEW_ROWS and not of_one_class(run)


CHECKS = (no_spread, stated_results)
