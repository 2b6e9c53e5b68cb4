"""Arms that were not treated alike: stopping, passes, search, windows, beginnings, and the way memory was measured."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bpfree.reports.study import AS_RUN, MATCHED, OWN, Run
from bpfree.reports.validity.fault import COSTS, LEARNING, WORKING_MEMORY, Fault, of_arms
from bpfree.reports.validity.finished import Finished, each, named, record

STOPPING = ("patience", "min_delta", "keep", "validate_every", "max_steps", "max_minutes")
PASSES_APART = 0.1
SPENDING = ("save", "validate")  # windows whose joules would otherwise be inside another one
_DEVICE_WIDE = ("device", "nvml", "nvidia-smi")
_WHOLE_PROCESS = "resident peak of the process"


def unequal_stopping(done: Finished) -> Iterator[Fault]:
    """Arms that stop by different rules, or may train for different numbers of epochs where the budget sets none."""
    for budgets, keys in (((OWN, AS_RUN), ("epochs", *STOPPING)), ((MATCHED,), STOPPING)):

        def rule(run: Run, keys: Sequence[str] = keys) -> tuple:
            return tuple(record(run)["config"].get(key) for key in keys)

        def apart(arms: Mapping[tuple, Any], keys: Sequence[str] = keys) -> str:
            differ = [k for k in range(len(keys)) if len({values[k] for values in arms}) > 1]
            words = {", ".join(f"{keys[k]} {values[k]}" for k in differ): names for values, names in arms.items()}
            return f"the arms do not stop by one rule ({each(words)})"

        yield from done.unequal(rule, LEARNING, "its runs do not stop by one rule", apart, budgets)


def unequal_passes(done: Finished) -> Iterator[Fault]:
    """Arms whose data passes differ in the budget that matches them."""
    nets: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for (arm, budget), runs in done.groups.items():
        if budget == MATCHED and (net := done.arms[arm]["net_key"]):
            nets[net].append((sum(record(run)["result"]["data_passes"] for run in runs) / len(runs), arm))
    for means in nets.values():
        groups: list[list[tuple[float, str]]] = []
        for mean, arm in sorted(means):
            if not groups or mean > (1 + PASSES_APART) * groups[-1][0][0]:
                groups.append([])
            groups[-1].append((mean, arm))
        if len(groups) > 1:
            words = ", ".join(f"{arm} {mean:.3g}" for mean, arm in means)
            text = f"{MATCHED}: the arms did not take equally many data passes ({words})"
            yield Fault(text, LEARNING, tuple(frozenset(arm for _, arm in group) for group in groups), MATCHED)


def unequal_search(done: Finished) -> Iterator[Fault]:
    """Arms that were tuned with different numbers of trials."""
    trials: dict[int, list[str]] = defaultdict(list)
    for name, arm in done.arms.items():
        if arm["role"] != "aa":
            trials[(arm["search"] or {}).get("trials", 0)].append(name)
    if len(trials) > 1:
        words = ", ".join(f"{arm} {count}" for count, arms in trials.items() for arm in arms)
        text = f"the arms were not tuned with equal search budgets (trials: {words})"
        yield Fault(text, LEARNING, tuple(map(frozenset, trials.values())))


def unequal_windows(done: Finished) -> Iterator[Fault]:
    """Checkpoints or validation inside the training window of some arms only."""
    for window in SPENDING:

        def apart(arms: Mapping[bool, Sequence[str]], window: str = window) -> str:
            return (
                f"{', '.join(arms[False])}: no window {window!r}, unlike {', '.join(arms[True])}: "
                "what it takes lies inside another window of one arm only"
            )

        def has(run: Run, window: str = window) -> bool:
            return window in record(run)["energy"] or not record(run)["energy"]

        yield from done.unequal(has, COSTS, f"not all of its runs have a window {window!r}", apart)
    yield from done.unequal(
        lambda run: record(run)["config"].get("checkpoint_every"),
        COSTS,
        "its runs do not write checkpoints equally often",
        lambda arms: f"checkpoints are not written equally often ({each(arms)})",
    )


def unequal_beginnings(done: Finished) -> Iterator[Fault]:
    """Runs of one seed on one net with unlike initial weights or data orders; heads may differ."""
    kinds = ((_weights, "do not begin with the same weights"), (_order, "do not see the data in the same order"))
    for unlike, words in kinds:
        for pairs in done.apart(unlike):
            text = f"{pairs.budget}: {pairs.arms} {words} ({named(pairs.seeds)}): their runs are not paired"
            yield Fault(text, LEARNING, pairs.groups, pairs.budget)


def unlike_memory(done: Finished) -> Iterator[Fault]:
    """Memory that holds the CUDA context or earlier runs, or that was measured in several ways."""
    for (arm, budget), runs in done.groups.items():
        for method in sorted({record(run)["memory"]["method"] for run in runs}):
            if any(word in method.lower() for word in _DEVICE_WIDE):
                text = f"{arm}: memory is device-wide ({method}), mostly the CUDA context: not comparable"
                yield of_arms(text, WORKING_MEMORY, [arm], budget)
            elif method == _WHOLE_PROCESS:
                text = f"{arm}: peak memory is that of the whole process, earlier runs in it included: not comparable"
                yield of_arms(text, frozenset({"peak_bytes"}), [arm], budget)
    yield from done.unequal(
        lambda run: record(run)["memory"]["method"],
        WORKING_MEMORY,
        "its memory was not measured in one way",
        lambda arms: f"memory was not measured in one way ({each(arms)})",
    )


CHECKS = (
    unequal_stopping,
    unequal_passes,
    unequal_search,
    unequal_windows,
    unequal_beginnings,
    unlike_memory,
)


def _weights(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return any(a != b for a, b in zip(one["init_sha256"], two["init_sha256"], strict=False))


def _order(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    orders = one["order_sha256"], two["order_sha256"]
    return None not in orders and orders[0] != orders[1]
