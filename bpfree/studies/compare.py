"""Comparison: arms x seeds x budgets as separate runs, in one folder with ``study.json`` and a report.

`compare` builds the arms (`bpfree.studies.arms`), measures idle power, and makes the runs (`bpfree.studies.turns`),
each in a process of its own (`bpfree.studies.workers`). ``study.json`` (`bpfree.reports.study`) is rewritten after
every run. A study that was cut goes on with the same command and its folder: finished runs are kept, others are begun
anew.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.config.seeds import seed_list
from bpfree.config.settings import build
from bpfree.config.user_files import absolute
from bpfree.data import absolute as absolute_data
from bpfree.errors import InputError
from bpfree.reports.study import load
from bpfree.runs.meters import meter_for
from bpfree.runs.plan import new_folder
from bpfree.studies import notation, workers
from bpfree.studies.arms import build_arms, restore_arms
from bpfree.studies.ledger import Ledger, Say
from bpfree.studies.options import COMPARE, CompareOptions, check_target
from bpfree.studies.plan import definition, earlier_plan, new_plan
from bpfree.studies.turns import Turns
from bpfree.studies.workers import Worker
from bpfree.training.device import pick_device
from energy.idle import IDLE_S, idle_power

QUICK_IDLE_S = 1.0


def compare(
    algos: Sequence[str] | str,
    data: str | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: int | str | Sequence[int] = 5,
    net: str | None = COMPARE.net,
    controls: Sequence[str] | str | None = None,
    tune: int | None = COMPARE.tune,
    tune_epochs: int = COMPARE.tune_epochs,
    quick: bool = COMPARE.quick,
    target: float | None = COMPARE.target,
    margin_pp: float = COMPARE.margin_pp,
    meter: str = COMPARE.meter,
    jobs: int = COMPARE.jobs,
    idle_s: float | None = COMPARE.idle_s,
    question: str = COMPARE.question,
    command: str | None = None,
    say: Say = lambda line: None,
    **settings: Any,
) -> dict[str, Any]:
    """Run a study, or go on with the one in ``out``, and write its report.

    Args:
        algos: arms, ``rule`` or ``rule:key=value,…``.
        data: a name, as for `bpfree.train`; None: the default data of the arms' rules.
        out: folder of the study; None: ``runs/study-<data>-<id>``.
        seeds: how many (0, 1, …), or which; every arm runs on each.
        net: name of the net of arms that name none.
        controls: instead of the usual ones; ``none``, or an empty list: none.
        tune: trials of a search before the runs, the same number for every arm; None: no search.
        tune_epochs: epochs of a trial at most.
        quick: few rows, few passes, narrow layers, labelled so in every report.
        target: value of the test metric whose cost is compared.
        margin_pp: percentage points of the metric within which two arms count as equivalent.
        meter: as for `bpfree.train`.
        jobs: runs at the same time, where the meter can tell them apart.
        idle_s: seconds of the idle power measurement before the runs; None: 5, or 1 in a quick study.
        question: question that the study answers, shown in its report.
        command: for the records: the command that the user typed.
        say: called with a line of progress.
        **settings: of all arms that have them, such as ``epochs`` and ``patience`` of the stopping rule.

    Returns:
        The content of ``study.json``, and ``folder``: its path.

    Raises:
        InputError: an argument that is not valid, or a folder that holds something else; nothing was written.
        RunFailed: the study itself could not be written. An arm that fails is recorded, and the others go on.
    """
    texts = notation.separate(algos)
    notation.refuse_objects(texts, data)
    data = notation.default_data(texts) if data is None else absolute_data(data)
    net = net and absolute(net)
    folder = Path(out) if out else new_folder("study", data)
    wanted = None if controls is None else notation.separate(controls)
    wanted = [] if wanted == ["none"] else wanted
    values = {"net": net, "tune": tune, "tune_epochs": tune_epochs, "quick": quick, "target": target}
    values |= {"margin_pp": margin_pp, "meter": meter, "jobs": jobs, "idle_s": idle_s, "question": question}
    options: CompareOptions = build(CompareOptions, values)
    device = pick_device(settings.get("device", "auto"))
    meter_for(meter, device, None, None).close()  # a meter that is not there shows before anything is written

    defined = definition(options, algos=texts, data=data, seeds=seed_list(seeds), controls=wanted, settings=settings)
    plan = earlier_plan(folder, defined)
    if plan is None:
        shape = {"quick": options.quick, "searched": options.tune is not None}
        arms, specs, notes = build_arms(texts, data, options.net, settings, controls=wanted, **shape)
        plan = new_plan(folder.name, options, defined, arms, notes)
    else:
        arms, specs = restore_arms(plan["arms"], data, settings)
    check_target(options.target, (spec.metric for spec in specs.values()))
    environs, notes = workers.environments(options.jobs, meter, settings.get("device", "auto"))
    if meter == "none":
        plan["concurrent_runs"] = max(plan["concurrent_runs"], len(environs))
    plan["warnings"] = list(dict.fromkeys([*plan["warnings"], *notes]))

    ledger = Ledger(folder, plan, arms, say)
    with _owned(folder):
        ledger.save()
        idle_s = (QUICK_IDLE_S if options.quick else IDLE_S) if options.idle_s is None else options.idle_s
        if meter != "none" and idle_s > 0 and plan["idle"] is None:  # before the workers begin to import torch
            say(f"idle power: {idle_s:g} s")
            with meter_for(meter, device, None, None) as idle:
                ledger.save(idle=idle_power(idle, idle_s))
        with _workers(environs, folder) as places:
            Turns(ledger, specs, places, meter, command).go()
    _report(folder)
    return {**ledger.plan, "folder": str(folder)}


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """The study's folder, made if need be, closed to other studies until this one and its runs have ended."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror}") from None
    with workers.owned(folder, "give another --out"):
        yield


@contextlib.contextmanager
def _workers(environs: Sequence[Mapping[str, str]], folder: Path) -> Iterator[list[Worker]]:
    """A worker for each environment; the run that it makes has ended when the block has."""
    places = [Worker(folder, environ) for environ in environs]
    try:
        yield places
    finally:
        for place in places:
            place.close()


def _report(folder: Path) -> None:
    """Write the report, if a run is finished."""
    from bpfree.reports.build import build as build_report  # scipy and the charts: not needed before
    from bpfree.reports.render import render

    study = load(folder)
    if any(run.finished for run in study.runs):
        render(build_report(study), folder)
