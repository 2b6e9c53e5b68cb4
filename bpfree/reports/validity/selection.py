"""Choices that were made on test data, and emissions of another run."""

import math
from collections import defaultdict
from collections.abc import Iterator

from bpfree.reports.validity.fault import COSTS, LEARNING, Fault, of_arms
from bpfree.reports.validity.finished import Finished, named, record
from energy.carbon import J_PER_KWH


def selection_on_test(done: Finished) -> Iterator[Fault]:
    """Test rows in the selection, test data looked at while training, and one result for both."""
    for (arm, budget), runs in done.groups.items():
        blind, looked = [], []
        for run in runs:
            rows = record(run)["data"].get("rows")
            if rows is not None and not rows.get("val"):
                blind.append(run.seed)
            if any(key == "test" or key.startswith("test_") for entry in record(run)["history"] for key in entry):
                looked.append(run.seed)
        if blind:
            text = (
                f"{arm}, {named(blind)}, {budget}: no validation rows: whatever was selected was selected on test data"
            )
            yield of_arms(text, LEARNING, [arm], budget)
        if looked:
            text = f"{arm}, {named(looked)}, {budget}: test data was looked at in every epoch"
            yield of_arms(text, LEARNING, [arm], budget)
        results = [record(run)["result"] for run in runs]
        if len(results) > 1 and all(r["val"] is not None and r["val"] == r["test"] for r in results):
            text = f"{arm}, {budget}: validation and test results are equal in every run: selection was on test data"
            yield of_arms(text, LEARNING, [arm], budget)


def borrowed_co2(done: Finished) -> Iterator[Fault]:
    """CO2e that does not follow from the energy of its run."""
    wrong: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for run in done.runs:
        made = record(run)
        co2 = made["co2e"]
        if not co2 or co2.get("kg") is None:
            continue
        windows = [w["total_j"] for w in made["energy"].values() if not w["within"] and w["total_j"] is not None]
        possible = [sum(windows), *windows]
        derived = co2["energy_j"] / J_PER_KWH * co2.get("pue", 1.0) * co2["g_per_kwh"] / 1000
        if not any(math.isclose(co2["energy_j"], joules, rel_tol=1e-6) for joules in possible):
            text = f"its CO2e is of {co2['energy_j']:.4g} J, which is not the energy of this run"
            wrong[run.arm, run.budget, text].append(run.seed)
        elif not math.isclose(co2["kg"], derived, rel_tol=1e-6):
            wrong[run.arm, run.budget, "its CO2e does not follow from its energy and intensity"].append(run.seed)
    for (arm, budget, text), seeds in wrong.items():
        yield of_arms(f"{arm}, {named(seeds)}, {budget}: {text}", COSTS, [arm], budget)


CHECKS = (selection_on_test, borrowed_co2)
