"""One run that stands for several: repeated seeds, shared checkpoints, copied folders, records and times."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from bpfree.reports.measures import beside
from bpfree.reports.study import Run
from bpfree.reports.validity.fault import ALL, Fault, of_arms
from bpfree.reports.validity.finished import Finished, name, named, record, trained_seed

FEW_ROWS = 100  # two nets may well predict the same on fewer test rows
FEW_OTHERS = 20  # so they may where fewer rows than this are not given to the class that is predicted most often
SAME_RESULT = {"accumulate", "checkpointing"}  # settings that change how a result is computed, and not the result


def repeated_seeds(done: Finished) -> Iterator[Fault]:
    """A seed that counts more than once in an arm, or that is not the one the run was trained with."""
    for (arm, budget), runs in done.groups.items():
        counts: dict[int, int] = defaultdict(int)
        for run in runs:
            counts[trained_seed(run)] += 1
        repeated = [f"seed {seed} counts {count} times" for seed, count in sorted(counts.items()) if count > 1]
        if repeated:
            more = f", and {len(repeated) - 3} more seeds" if len(repeated) > 3 else ""
            text = f"{arm}, {budget}: {', '.join(repeated[:3])}{more}: it is one run, not several"
            yield of_arms(text, ALL, [arm], budget)
        others = [run for run in runs if trained_seed(run) != run.seed]
        if others:
            more = f", and {len(others) - 1} more are not what they are listed as" if len(others) > 1 else ""
            first = f"the run listed as seed {others[0].seed} was trained with seed {trained_seed(others[0])}"
            yield of_arms(f"{arm}, {budget}: {first}{more}", ALL, [arm], budget)


def shared_results(done: Finished) -> Iterator[Fault]:
    """Equal predictions or weights of different seeds: a shared checkpoint, a copied run, or a seed without effect."""
    for (arm, budget), runs in done.groups.items():
        for alike in _alike(runs, _predictions):
            seeds = {trained_seed(run) for run in alike}
            if len(seeds) == 1:
                continue
            text = f"{arm}, {budget}: {named(seeds)} predict exactly the same on the test data"
            if len({record(run)["result"]["val"] for run in alike}) > 1:
                text += " but differ on validation data: a checkpoint is shared between runs"
            else:
                text += ": one is a copy of the other, or the seed has no effect"
            yield of_arms(text, ALL, [arm], budget)
        for alike in _alike(runs, lambda run: record(run)["model_sha256"]):
            seeds = {trained_seed(run) for run in alike}
            if len(seeds) > 1:
                text = f"{arm}, {budget}: {named(seeds)} ended with exactly the same weights: they are one run"
                yield of_arms(text, ALL, [arm], budget)


def shared_between_arms(done: Finished) -> Iterator[Fault]:
    """Equal predictions of unlike arms."""
    seeds: dict[tuple[frozenset[str], str], list[int]] = defaultdict(list)
    for alike in _alike(done.runs, lambda run: (key := _predictions(run)) and (key, run.budget)):
        kinds = {_kind(done.arms[arm]): arm for arm in dict.fromkeys(run.arm for run in alike)}
        if len(kinds) > 1:
            seeds[frozenset(kinds.values()), alike[0].budget] += [run.seed for run in alike]
    for (arms, budget), theirs in seeds.items():
        listed = " and ".join(sorted(arms, key=list(done.arms).index))
        text = (
            f"{listed}, {budget}, predict exactly the same on the test data ({named(theirs)}): "
            "one arm tested the other's weights, or they are one arm"
        )
        yield of_arms(text, ALL, arms, budget)


def shared_folders(done: Finished) -> Iterator[Fault]:
    """A folder or a record that stands for two runs."""
    for noun, key in (("folder", lambda run: run.path), ("record", lambda run: record(run)["record_sha256"])):
        yield from _once_an_arm(_alike(done.runs, key), f"have one {noun}: they are one run")


def equal_times(done: Finished) -> Iterator[Fault]:
    """Runs that trained equally long to the last digit."""
    alike = _alike(done.runs, lambda run: record(run)["time"]["train_s"] or None)
    yield from _once_an_arm(alike, "took the same time to the last digit: one is a copy")


CHECKS = (repeated_seeds, shared_results, shared_between_arms, shared_folders, equal_times)


def of_one_class(run: Run) -> bool:
    """True where all but a few test rows are given to one class: two nets that learnt little may well agree in that.

    Args:
        run: with its record; without a confusion matrix it is not known, and False.
    """
    counts = beside(run).get("confusion")
    if not counts:
        return False
    predicted = [sum(column) for column in zip(*counts, strict=True)]
    return sum(predicted) - max(predicted) < FEW_OTHERS


def _once_an_arm(groups: Sequence[Sequence[Run]], words: str) -> Iterator[Fault]:
    """A fault for each set of arms and budgets with runs that are alike; the first ones by name."""
    by_arms: dict[frozenset[tuple[str, str]], list[Sequence[Run]]] = defaultdict(list)
    for runs in groups:
        by_arms[frozenset((run.arm, run.budget) for run in runs)].append(runs)
    for places, alike in by_arms.items():
        first, second = alike[0][:2]
        count = sum(map(len, alike)) - 2
        more = f", like {count} more of these arms" if count else ""
        budgets = {budget for _, budget in places}
        arms = {arm for arm, _ in places}
        budget = budgets.pop() if len(budgets) == 1 else None
        yield of_arms(f"{name(first)} and {name(second)} {words}{more}", ALL, arms, budget)


def _alike(runs: Sequence[Run], key: Callable[[Run], Hashable | None]) -> list[list[Run]]:
    """Groups of two and more runs with one key; None is no key."""
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        if (value := key(run)) is not None:
            groups[value].append(run)
    return [group for group in groups.values() if len(group) > 1]


def _predictions(run: Run) -> tuple[Hashable, ...] | None:
    """A key of two runs that made the same mistakes.

    Where there were none, or few rows for any, or nearly all rows were given to one class, the losses of all epochs
    have to be equal as well.
    """
    made = record(run)
    result, rows = made["result"], (made["data"].get("rows") or {}).get("test") or FEW_ROWS
    if result["predictions_sha256"] is None:
        return None
    right = result["metric"] == "accuracy" and result["test"] == 1.0
    if rows >= FEW_ROWS and not of_one_class(run) and not right:
        return (result["predictions_sha256"],)
    losses = [entry["loss"] for entry in made["history"] if entry.get("loss")]
    return (result["predictions_sha256"], json.dumps(losses, sort_keys=True)) if losses else None


def _kind(arm: dict[str, Any]) -> str:
    """A key of arms whose runs of a seed ought to predict the same."""
    settings = {key: value for key, value in arm["settings"].items() if key not in SAME_RESULT}
    return json.dumps([arm["algo"], settings], sort_keys=True, default=str)
