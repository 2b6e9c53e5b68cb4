"""Gathering: one study from folders of studies and loose runs that were made anywhere."""

import datetime
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpfree.errors import InputError
from bpfree.reports.study import AS_RUN, FILE, RECORD, SCHEMA, Run, Study, load, unfinished, validated
from bpfree.runs.record import read as read_record

INCIDENTAL = {"seed", "data_dir"}  # settings in which the runs of one arm may differ


def collect(paths: Sequence[str | os.PathLike[str]]) -> Study:
    """One study from folders of studies, runs, or folders that hold runs, made anywhere.

    Loose runs are grouped into arms by their configuration without the seed. A single study is returned as planned.

    Raises:
        InputError: a folder that holds no run, or a study or record that cannot be read.
    """
    if not paths:
        raise InputError("no folder given: give the folder of a study, or of runs")
    if len(paths) == 1 and (Path(paths[0]) / FILE).exists():
        return load(paths[0])
    studies: dict[str, Study] = {}
    listed = [run for path in paths for run in _runs_under(Path(path), studies)]
    unique = list({str(Path(run.path).resolve()): run for run in listed}.values())
    groups: dict[str, list[Run]] = {}
    for run in unique:
        groups.setdefault(_group(run), []).append(run)
    names = _names([runs[0].record or {} for runs in groups.values()])
    arms, runs = [], []
    for name, group in zip(names, groups.values(), strict=True):
        record = group[0].record or {}
        arms.append({"name": name, "algo": record["algo"], "settings": _shared(record), "net_key": net_key(record)})
        runs += [Run(name, r.seed, r.budget, None, r.path, r.status, r.error, r.record) for r in group]
    plan = {
        "schema": SCHEMA,
        "name": "runs made elsewhere",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arms": arms,
        "budgets": sorted({run.budget for run in runs}),
        "seeds": sorted({run.seed for run in runs}),
        "data": sorted({run.record["data"]["name"] for run in runs if run.record}),
        "quick": any(study.plan["quick"] for study in studies.values()),
    }
    notes = [
        "these runs were gathered, not planned as one study: order, search and stopping were not under its control"
    ]
    notes += [f"study {study.plan['name']}: {text}" for study in studies.values() for text in study.warnings]
    loose = [run for run in runs if run.budget == AS_RUN]
    return Study(validated(plan), runs, [*notes, *unfinished(loose)])


def net_key(record: Mapping[str, Any]) -> str | None:
    """The hash of net and data that a record states; None: unknown, so that no difference is taken."""
    return record.get("net_key") or None


def _runs_under(path: Path, studies: dict[str, Study]) -> Iterator[Run]:
    """Runs in a folder, without the repeats of A/A arms; the studies they were planned in are added to ``studies``."""
    if (path / FILE).exists():
        study = studies[str(path.resolve())] = load(path)
        for run in study.runs:
            if run.record is not None and study.arms[run.arm]["role"] != "aa":
                yield replace(run, path=str(path / run.path))
        return
    records = [path / RECORD] if (path / RECORD).exists() else sorted(path.glob(f"*/{RECORD}"))
    folders = [] if records else sorted(file.parent for file in path.glob(f"*/{FILE}"))
    if not records and not folders:
        raise InputError(f"{path} holds no run: expected {FILE} or {RECORD} in it, or in the folders in it")
    for folder in folders:
        yield from _runs_under(folder, studies)
    for file in records:
        record = read_record(file)
        yield Run("", record["seed"], AS_RUN, None, str(file.parent), record["status"], record["error"], record)


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that all runs of its arm share."""
    return {key: value for key, value in record["config"].items() if key not in INCIDENTAL}


def _group(run: Run) -> str:
    """A key that is equal for two runs of one arm: settings, version of the rule, and data."""
    record = run.record or {}
    return json.dumps([_shared(record), record["algo_sha256"], record["data"]["sha256"]], sort_keys=True)


def _names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each group: its rule, and the settings in which it differs from the others of that rule."""
    names = []
    for record in records:
        others = [_shared(other) for other in records if other["algo"] == record["algo"]]
        differ = {key: value for key, value in _shared(record).items() if any(o.get(key) != value for o in others)}
        settings = ",".join(f"{key}={value}" for key, value in differ.items())
        names.append(record["algo"] + (f":{settings}" if settings else ""))
    return [name if names.count(name) == 1 else f"{name}#{names[:k].count(name) + 1}" for k, name in enumerate(names)]
