"""Faults: what cannot be true of an honest comparison. Each kind has spoiled a published study.

A check reads the records of the runs and yields a sentence for each fault, with the arms and runs in it. No fault is
repaired or hidden: the report prints them first.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bpfree.reports import statistics
from bpfree.reports.study import MATCHED, OWN, Run, Study
from energy.carbon import J_PER_KWH

STOPPING = ("patience", "min_delta", "keep", "validate_every")
OF_THE_BUDGET = ("epochs", "patience")  # settings that another budget changes
FEW_ROWS = 100  # two nets may well predict the same on fewer test rows
PASSES_APART = 0.1
_DEVICE_WIDE = ("device", "nvml", "nvidia-smi")
_WHOLE_PROCESS = "resident peak of the process"


def faults(study: Study) -> list[str]:
    """All faults of a study, each in a sentence. An empty list does not prove that there is none."""
    return [*dict.fromkeys(text for check in CHECKS for text in check(study))]


def repeated_seeds(study: Study) -> Iterator[str]:
    """A seed that counts more than once in an arm, or that is not the one the run was trained with."""
    for (arm, budget), runs in _groups(study).items():
        seeds = [_seed(run) for run in runs]
        for seed in sorted({seed for seed in seeds if seeds.count(seed) > 1}):
            yield f"{arm}, {budget}: seed {seed} counts {seeds.count(seed)} times: it is one run, not several"
        for run in runs:
            if _seed(run) != run.seed:
                yield f"{arm}, {budget}: the run listed as seed {run.seed} was trained with seed {_seed(run)}"


def shared_results(study: Study) -> Iterator[str]:
    """Equal predictions of different seeds: a shared checkpoint, a copied run, or a seed without effect."""
    for (arm, budget), runs in _groups(study).items():
        for one, two in itertools.combinations(runs, 2):
            if _seed(one) == _seed(two) or not _same_predictions(one, two):
                continue
            pair = f"{arm}, {budget}: seeds {one.seed} and {two.seed} predict exactly the same on the test data"
            if _record(one)["result"]["val"] != _record(two)["result"]["val"]:
                yield f"{pair} but differ on validation data: a checkpoint is shared between runs"
            else:
                yield f"{pair}: one is a copy of the other, or the seed has no effect"
    alike: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for one, two in itertools.combinations(_finished(study), 2):
        a, b = study.arms[one.arm], study.arms[two.arm]
        unlike = one.arm != two.arm and (a["algo"], a["settings"]) != (b["algo"], b["settings"])
        if unlike and one.budget == two.budget and _same_predictions(one, two):
            alike[one.arm, two.arm, one.budget].append(one.seed)
    for (first, second, budget), seeds in alike.items():
        yield (
            f"{first} and {second}, {budget}, predict exactly the same on the test data (seeds "
            f"{', '.join(map(str, sorted(set(seeds))))}): one arm tested the other's weights, or they are one arm"
        )


def shared_folders(study: Study) -> Iterator[str]:
    """A folder or a record that stands for two runs."""
    for noun, key in (("folder", lambda run: run.path), ("record", lambda run: _record(run)["record_sha256"])):
        seen: dict[str, Run] = {}
        for run in _finished(study):
            first = seen.setdefault(key(run), run)
            if first is not run:
                yield f"{_name(first)} and {_name(run)} have one {noun}: they are one run"


def mixed_arms(study: Study) -> Iterator[str]:
    """Runs of one arm with different rules, nets, data or settings, or other ones than the study states."""
    for name, arm in study.arms.items():
        runs = [run for run in _finished(study) if run.arm == name]
        kinds = {
            "version of its rule": {_record(run)["algo_sha256"] for run in runs},
            "data set": {_record(run)["data"]["sha256"] for run in runs},
            "net": {_record(run)["net_key"] for run in runs},
        }
        yield from (f"{name}: its runs are not of one {noun}" for noun, values in kinds.items() if len(values) > 1)
        for run in runs:
            record = _record(run)
            net = record["net_key"]
            if record["algo"] != arm["algo"] or (net and arm["net_key"] and net != arm["net_key"]):
                yield f"{_name(run)}: its record is of {record['algo']} on another net or other data than the arm's"
            for key, value in arm["settings"].items():
                free = run.budget == MATCHED and key in OF_THE_BUDGET
                if not free and key in record["config"] and record["config"][key] != value:
                    yield f"{_name(run)}: it ran with {key} = {record['config'][key]}, and the arm says {value}"


def unequal_stopping(study: Study) -> Iterator[str]:
    """Arms that stop by different rules in the budget of their own convergence."""
    rules: dict[tuple, set[str]] = defaultdict(set)
    for run in _finished(study):
        config = _record(run)["config"]
        if run.budget == OWN:
            rules[tuple((key, config.get(key)) for key in STOPPING)].add(run.arm)
    if len(rules) > 1:
        words = "; ".join(
            f"{', '.join(sorted(arms))}: {', '.join(f'{key} {value}' for key, value in rule)}"
            for rule, arms in rules.items()
        )
        yield f"the arms do not stop by one rule, so their own convergence cannot be compared ({words})"


def unequal_passes(study: Study) -> Iterator[str]:
    """Arms whose data passes differ in the budget that matches them."""
    passes: dict[str, list[float]] = defaultdict(list)
    for run in _finished(study):
        if run.budget == MATCHED:
            passes[run.arm].append(_record(run)["result"]["data_passes"])
    means = {arm: sum(values) / len(values) for arm, values in passes.items()}
    if means and max(means.values()) > (1 + PASSES_APART) * min(means.values()):
        words = ", ".join(f"{arm} {mean:.3g}" for arm, mean in means.items())
        yield f"{MATCHED}: the arms did not take equally many data passes ({words})"


def unequal_search(study: Study) -> Iterator[str]:
    """Arms that were tuned with different numbers of trials."""
    trials = {arm["name"]: (arm["search"] or {}).get("trials", 0) for arm in study.plan["arms"] if arm["role"] != "aa"}
    if len(set(trials.values())) > 1:
        words = ", ".join(f"{arm} {count}" for arm, count in trials.items())
        yield f"the arms were not tuned with equal search budgets (trials: {words})"


def unequal_windows(study: Study) -> Iterator[str]:
    """Checkpoints or validation inside the training window of some arms only."""
    for window in ("save", "validate"):
        has: dict[bool, set[str]] = defaultdict(set)
        for run in _finished(study):
            if _record(run)["energy"]:
                has[window in _record(run)["energy"]].add(run.arm)
        if len(has) > 1:
            yield (
                f"{', '.join(sorted(has[False]))}: no window {window!r}, unlike {', '.join(sorted(has[True]))}: "
                f"what it takes lies inside another window of one arm only"
            )
    every = sorted({(run.arm, str(_record(run)["config"].get("checkpoint_every"))) for run in _finished(study)})
    if len({period for _, period in every}) > 1:
        yield f"checkpoints are not written equally often ({', '.join(f'{arm} {period}' for arm, period in every)})"


def unequal_origins(study: Study) -> Iterator[str]:
    """Runs of one seed on one net with unlike initial weights or data orders; heads may differ."""
    firsts: dict[tuple, Run] = {}
    apart: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for run in _finished(study):
        net = study.arms[run.arm]["net_key"]
        first = firsts.setdefault((net, run.budget, run.seed), run) if net else run
        one, two = _record(first), _record(run)
        blocks = list(zip(one["init_sha256"], two["init_sha256"], strict=False))
        if any(a != b for a, b in blocks):
            apart[first.arm, run.arm, "do not begin with the same weights"].append(run.seed)
        orders = one["order_sha256"], two["order_sha256"]
        if None not in orders and orders[0] != orders[1]:
            apart[first.arm, run.arm, "do not see the data in the same order"].append(run.seed)
    for (first_arm, arm, words), seeds in apart.items():
        listed = ", ".join(map(str, sorted(set(seeds))))
        yield f"{first_arm} and {arm} {words} (seeds {listed}): their runs are not paired"


def context_memory(study: Study) -> Iterator[str]:
    """Memory that holds the CUDA context or earlier runs, or that was measured in several ways."""
    methods = sorted({(run.arm, _record(run)["memory"]["method"]) for run in _finished(study)})
    for arm, method in methods:
        if any(word in method.lower() for word in _DEVICE_WIDE):
            yield f"{arm}: memory is device-wide ({method}), mostly the CUDA context: not comparable"
        elif method == _WHOLE_PROCESS:
            yield f"{arm}: memory is the peak of the whole process, earlier runs in it included: not comparable"
    if len({method for _, method in methods}) > 1:
        yield f"memory was not measured in one way ({', '.join(f'{arm} {method}' for arm, method in methods)})"


def dead_parameters(study: Study) -> Iterator[str]:
    """Parameters of a baseline that are trained and never used."""
    for name, arm in study.arms.items():
        for run in _finished(study):
            counts = _record(run)["parameters"]
            if arm["role"] != "twin" or run.arm != name or None in (counts["trained"], counts["inference"]):
                continue
            if counts["trained"] > counts["inference"]:
                dead = counts["trained"] - counts["inference"]
                yield f"{name}: the baseline carries {dead:,} parameters that no prediction uses"
                break


def borrowed_co2(study: Study) -> Iterator[str]:
    """CO2e that does not follow from the energy of its run."""
    for run in _finished(study):
        record = _record(run)
        co2 = record["co2e"]
        if not co2 or co2.get("kg") is None:
            continue
        windows = [w["total_j"] for w in record["energy"].values() if not w["within"] and w["total_j"] is not None]
        possible = [sum(windows), *windows]
        derived = co2["energy_j"] / J_PER_KWH * co2.get("pue", 1.0) * co2["g_per_kwh"] / 1000
        if not any(math.isclose(co2["energy_j"], joules, rel_tol=1e-6) for joules in possible):
            yield f"{_name(run)}: its CO2e is of {co2['energy_j']:.4g} J, which is not the energy of this run"
        elif not math.isclose(co2["kg"], derived, rel_tol=1e-6):
            yield f"{_name(run)}: its CO2e does not follow from its energy and intensity"


def selection_on_test(study: Study) -> Iterator[str]:
    """Choices that were made on test data."""
    done = _finished(study)
    for run in done:
        record = _record(run)
        rows = record["data"].get("rows")
        if rows is not None and not rows.get("val"):
            yield f"{_name(run)}: no validation rows: whatever was selected was selected on test data"
        selects = [entry for entry in record["history"] if "test" in entry]
        if selects:
            yield f"{_name(run)}: test data was looked at in every epoch"
    by_arm: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in done:
        by_arm[run.arm, run.budget].append(_record(run)["result"])
    for (arm, budget), results in by_arm.items():
        if len(results) > 1 and all(r["val"] is not None and r["val"] == r["test"] for r in results):
            yield f"{arm}, {budget}: validation and test results are equal in every run: selection was on test data"


def impossible_spread(study: Study) -> Iterator[str]:
    """Numbers that cannot come from the runs: no spread, equal times to the last digit, a mean that differs.

    ``study.json`` may carry ``stated``: [{"arm", "budget", "mean", "sd", "n", "digits"}], for example of a paper.
    """
    for (arm, budget), runs in _groups(study).items():
        results = {_record(run)["result"]["test"] for run in runs if _rows(run) >= FEW_ROWS}
        if (
            len({_seed(run) for run in runs}) >= statistics.MIN_PAIRS
            and len(results) == 1
            and not results & {0.0, 1.0, None}
        ):
            yield f"{arm}, {budget}: {len(runs)} seeds give one test result to the last digit"
    seen: dict[float, Run] = {}
    for run in _finished(study):
        train_s = _record(run)["time"]["train_s"]
        first = seen.setdefault(train_s, run) if train_s else run
        if first is not run:
            yield f"{_name(first)} and {_name(run)} took the same time to the last digit: one is a copy"
    for claim in study.plan.get("stated", []):
        runs = study.of(claim["arm"], claim["budget"])
        values = [_record(run)["result"]["test"] for run in runs if run.finished]
        if not statistics.spread_is_possible(claim, [value for value in values if value is not None], claim["digits"]):
            spread = "" if claim.get("sd") is None else f" ± {claim['sd']}"
            yield f"{claim['arm']}, {claim['budget']}: {claim['mean']}{spread} is stated, but cannot come from its runs"


def overlapping_runs(study: Study) -> Iterator[str]:
    """Runs at the same time on one meter: a counter cannot tell them apart."""
    done = [run for run in _finished(study) if _record(run)["started"] and _record(run)["ended"]]
    done.sort(key=lambda run: _record(run)["started"])
    for k, two in enumerate(done):
        for one in done[:k]:
            if _record(two)["started"] < _record(one)["ended"] and _meters(one) & _meters(two):
                yield f"{_name(one)} and {_name(two)} ran at the same time on one meter: each energy counts both"


CHECKS: Sequence[Callable[[Study], Iterator[str]]] = (
    repeated_seeds,
    shared_results,
    shared_folders,
    mixed_arms,
    unequal_stopping,
    unequal_passes,
    unequal_search,
    unequal_windows,
    unequal_origins,
    context_memory,
    dead_parameters,
    borrowed_co2,
    selection_on_test,
    impossible_spread,
    overlapping_runs,
)


def _finished(study: Study) -> list[Run]:
    return [run for run in study.runs if run.finished]


def _groups(study: Study) -> dict[tuple[str, str], list[Run]]:
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in _finished(study):
        groups[run.arm, run.budget].append(run)
    return groups


def _record(run: Run) -> dict[str, Any]:
    assert run.record is not None  # only finished runs are looked at
    return run.record


def _seed(run: Run) -> int:
    return int(_record(run)["seed"])


def _rows(run: Run) -> float:
    return (_record(run)["data"].get("rows") or {}).get("test") or math.inf


def _same_predictions(one: Run, two: Run) -> bool:
    """True when two runs made the same mistakes; not where there were none, or few chances for any."""
    a, b = _record(one)["result"], _record(two)["result"]
    if a["metric"] == "accuracy" and a["test"] == 1.0:
        return False
    return a["predictions_sha256"] == b["predictions_sha256"] is not None and _rows(one) >= FEW_ROWS


def _meters(run: Run) -> set[tuple[str | None, str]]:
    """The hardware that measured a run: counters of one name are different ones in different machines."""
    parts, machine = _record(run)["meter"].get("components", {}).values(), (_record(run)["device"] or {}).get("boot")
    return {(machine, part["source"]) for part in parts if part["method"].startswith("measured")}


def _name(run: Run) -> str:
    return f"{run.arm}, seed {run.seed}, {run.budget}"
