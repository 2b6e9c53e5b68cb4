"""Arms that are not what they say: runs of several kinds in one, a baseline with parameters that nothing uses."""

from collections import defaultdict
from collections.abc import Iterator

from bpfree.reports.study import MATCHED
from bpfree.reports.validity.fault import ALL, COSTS, WORKING_MEMORY, Fault, of_arms
from bpfree.reports.validity.finished import Finished, named, record

OF_THE_BUDGET = ("epochs", "patience")  # settings that another budget changes


def mixed_arms(done: Finished) -> Iterator[Fault]:
    """Runs of one arm with different rules, nets or data."""
    kinds: dict[str, dict[str, set]] = defaultdict(lambda: defaultdict(set))
    for run in done.runs:
        made = record(run)
        kinds[run.arm]["version of its rule"].add(made["algo_sha256"])
        kinds[run.arm]["data set"].add(made["data"]["sha256"])
        kinds[run.arm]["net"].add(made["net_key"])
    for arm, values in kinds.items():
        for noun, distinct in values.items():
            if len(distinct) > 1:
                yield of_arms(f"{arm}: its runs are not of one {noun}", ALL, [arm])


def strange_runs(done: Finished) -> Iterator[Fault]:
    """Runs of another rule, net or setting than the arm that lists them."""
    strangers: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for run in done.runs:
        made, arm = record(run), done.arms[run.arm]
        net = made["net_key"]
        if made["algo"] != arm["algo"] or (net and arm["net_key"] and net != arm["net_key"]):
            text = f"its record is of {made['algo']} on another net or other data than the arm's"
            strangers[run.arm, run.budget, text].append(run.seed)
        for key, value in arm["settings"].items():
            free = run.budget == MATCHED and key in OF_THE_BUDGET
            if not free and key in made["config"] and made["config"][key] != value:
                text = f"it ran with {key} = {made['config'][key]}, and the arm says {value}"
                strangers[run.arm, run.budget, text].append(run.seed)
    for (name, budget, text), seeds in strangers.items():
        yield of_arms(f"{name}, {named(seeds)}, {budget}: {text}", ALL, [name], budget)


def dead_parameters(done: Finished) -> Iterator[Fault]:
    """Parameters of a baseline that are trained and never used."""
    for (arm, budget), runs in done.groups.items():
        if done.arms[arm]["role"] != "twin":
            continue
        for run in runs:
            trained, used = (record(run)["parameters"][key] for key in ("trained", "inference"))
            if trained is not None and used is not None and trained > used:
                text = f"{arm}: the baseline carries {trained - used:,} parameters that no prediction uses"
                yield of_arms(text, COSTS | WORKING_MEMORY, [arm], budget)
                break


CHECKS = (mixed_arms, strange_runs, dead_parameters)
