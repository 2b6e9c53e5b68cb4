"""Questions of a report: which arms are compared with which, in what; only arms on the same net and data are."""

from collections.abc import Iterator

from bpfree.reports.measures import COMPARED, CPU_TIME, MEMORY, TIME, Basis, Measure, values
from bpfree.reports.study import BASELINE, Study


def questions(study: Study, basis: Basis) -> Iterator[tuple[str, str, str, Measure]]:
    """Budget, first arm, reference and measure of every comparison: where both arms were to run.

    The memory of every arm, and what it costs in time, is also asked against the leanest way to run backprop.

    Args:
        study: with the records of its runs.
        basis: the components whose energy counts.
    """
    on_cpu = any(values(run, basis)["cpu_s"] is not None for run in study.runs if run.finished)
    measures = [measure for measure in COMPARED if measure is not CPU_TIME or on_cpu]
    for budget in study.plan["budgets"]:
        usual = pairs(study)
        lean = [(name, other) for name, other in against_the_leanest(study, budget) if (name, other) not in usual]
        for wanted, of in ((usual, measures), (lean, [TIME, MEMORY])):
            for one, two in wanted:
                if study.of(one, budget) and study.of(two, budget):
                    yield from ((budget, one, two, measure) for measure in of)


def against_the_leanest(study: Study, budget: str) -> list[tuple[str, str]]:
    """Each arm of another rule beside the arm of backprop, on its net, that needs the least working memory.

    Args:
        study: with the records of its runs.
        budget: of the runs.
    """
    wanted = []
    for key in dict.fromkeys(arm["net_key"] for arm in study.arms.values() if arm["net_key"]):
        group = {name: arm for name, arm in study.arms.items() if arm["net_key"] == key and arm["role"] != "aa"}
        needs = {name: _live_bytes(study, name, budget) for name, arm in group.items() if arm["algo"] == BASELINE}
        known = {name: need for name, need in needs.items() if need is not None}
        if known:
            leanest = min(known, key=lambda name: known[name])
            wanted += [(name, leanest) for name, arm in group.items() if arm["algo"] != BASELINE]
    return wanted


def _live_bytes(study: Study, arm: str, budget: str) -> float | None:
    """Mean working memory of an arm's finished runs."""
    records = [run.record for run in study.of(arm, budget) if run.finished and run.record]
    known = [record["memory"]["live_bytes"] for record in records if record["memory"]["live_bytes"]]
    return sum(known) / len(known) if known else None


def pairs(study: Study) -> list[tuple[str, str]]:
    """The pairs of arms to compare, first and reference: only arms on the same net and data."""
    wanted: list[tuple[str, str]] = []
    for name, arm in study.arms.items():
        for other_name, other in study.arms.items():
            if name == other_name or arm["net_key"] is None or arm["net_key"] != other["net_key"]:
                continue
            if arm["role"] == "aa":
                compare = other_name == (arm["twin_of"] or _original(study, name))
            elif other["role"] == "aa" or arm["role"] == "twin":
                compare = False
            else:
                control = arm["role"] == "arm" and other["role"] == "control" and other["algo"] == arm["algo"]
                compare = other_name == reference(study, arm["net_key"]) or control
            if compare:
                wanted.append((name, other_name))
    return wanted


def _original(study: Study, name: str) -> str | None:
    """The arm that an A/A arm repeats."""
    arm = study.arms[name]
    same = [
        n for n, a in study.arms.items() if n != name and (a["algo"], a["settings"]) == (arm["algo"], arm["settings"])
    ]
    return same[0] if same else None


def reference(study: Study, net_key: str) -> str | None:
    """The arm that all others on a net are compared with: its twin, else plain backpropagation, else the first."""
    group = {name: arm for name, arm in study.arms.items() if arm["net_key"] == net_key and arm["role"] != "aa"}
    ranks = {
        name: (arm["role"] != "twin", arm["algo"] != BASELINE, arm["role"] == "control") for name, arm in group.items()
    }
    return min(ranks, key=lambda name: ranks[name], default=None)
