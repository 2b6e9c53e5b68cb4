"""The search of an arm's settings before the runs of a comparison, with equally many trials for every arm."""

from collections.abc import Mapping
from typing import Any

from bpfree.studies.arms import SHARED, Arm
from bpfree.studies.ledger import Ledger
from bpfree.studies.space import searchable, without_effect
from bpfree.studies.workers import Worker
from bpfree.training.data import Spec

FOLDER = "tune"  # of the searches, in the study's folder


def search_settings(arm: Arm, spec: Spec, ledger: Ledger, worker: Worker, meter: str) -> None:
    """Search the settings of one arm in a process of its own, and keep what it found in ``arm.search``.

    A search that fails leaves a warning, and the arm its defaults.

    Args:
        arm: of the study.
        spec: of its data.
        ledger: of the study, whose definition says how many trials.
        worker: place where the search is made.
        meter: as for `bpfree.train`.
    """
    trials = ledger.plan["definition"]["tune"]
    ledger.say(f"{arm.name}: search, {trials} trials")
    answer = worker.run("bpfree.studies.tune:tune", _arguments(arm, spec, ledger, meter))
    if "error" in answer and worker.stopped:
        return
    if "error" in answer:
        ledger.warn(f"{arm.name}: the search failed ({answer['error']}): its settings are the defaults")
    elif answer["value"]["status"] == "finished":
        summary = answer["value"]
        if not summary["best"]:
            ledger.warn(f"{arm.name}: no trial of its search ended well: its settings are the defaults")
        params = summary["best"]["params"] if summary["best"] else {}
        search = {"trials": trials, "cost": summary["cost"], "params": params, "space": summary["space"]}
        ledger.keep_search(arm, search)


def _arguments(arm: Arm, spec: Spec, ledger: Ledger, meter: str) -> dict[str, Any]:
    """The arguments of `bpfree.tune` for an arm."""
    definition = ledger.plan["definition"]
    space = _space(arm, spec, definition["settings"])
    fixed = {name: value for name, value in arm.values.items() if name not in space}
    return {
        "algo": arm.algo,
        "data": arm.data,
        "net": arm.net,
        **fixed,
        "epochs": min(arm.plan.config["epochs"], definition["tune_epochs"]),
        "seed": max(ledger.plan["seeds"]) + 1,  # of no run, so that no run repeats a trial
        "trials": definition["tune"],
        "out": str(ledger.folder / FOLDER / arm.slug),
        "name": f"{ledger.folder.name}/{arm.name}",
        "search": space,
        "prune": False,  # a pruned trial costs less, and the arms' searches are to cost the same
        "meter": meter,
    }


def _space(arm: Arm, spec: Spec, common: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are searched: the rule's alone, for another net would be another comparison."""
    plan = arm.plan
    fixed = {*SHARED, *arm.written, *common, *without_effect(plan, spec)}
    return [name for name in searchable(plan.rule_settings) if name not in fixed]
