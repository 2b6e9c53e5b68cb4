"""Gathering: one study from folders of studies and loose runs that were made anywhere.

What voided a claim in a study voids it in every report that its runs are gathered into: a folder inside a study stands
for the whole study, and the faults of each study, the runs that failed in it and the drift of its A/A arm come along.
"""

import datetime
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bpfree.errors import InputError
from bpfree.reports.foreign import readable
from bpfree.reports.inheritance import inherited_faults, lost_studies
from bpfree.reports.study import AS_RUN, FILE, RECORD, SCHEMA, Run, Study, load, read, unfinished, validated
from bpfree.runs.record import read as read_record

INCIDENTAL = {"seed", "data_dir"}  # settings in which the runs of one arm may differ


@dataclass
class Part:
    """Runs that are gathered.

    Attributes:
        study: that planned them; None: nobody did.
        folder: that their paths are relative to.
        runs: without the repeats of A/A arms.
        became: arm and budget of its study -> the arms that they are gathered into.
    """

    study: Study | None
    folder: Path
    runs: list[Run]
    became: dict[tuple[str, str], set[str]] = field(default_factory=dict)


def collect(paths: Sequence[str | os.PathLike[str]]) -> Study:
    """One study from folders of studies, runs, or folders that hold runs, made anywhere.

    Loose runs are grouped into arms by their configuration without the seed. A single study is returned as planned,
    whichever of its folders is given.

    Raises:
        InputError: a folder that holds no run, or a study or record that cannot be read.
    """
    if not paths:
        raise InputError("no folder given: give the folder of a study, or of runs")
    parts: dict[str, Part] = {}
    for path in paths:
        _gather(Path(path), parts)
    studies = [part.study for part in parts.values() if part.study]
    if len(studies) == len(parts) == 1:
        return studies[0]
    arms, runs = _arms(parts.values())
    plan = {
        "schema": SCHEMA,
        "name": "runs made elsewhere",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arms": arms,
        "budgets": sorted({run.budget for run in runs}),
        "seeds": sorted({run.seed for run in runs}),
        "data": sorted({run.record["data"]["name"] for run in runs if run.record}),
        "quick": any(study.plan["quick"] for study in studies),
        "concurrent_runs": max((study.plan["concurrent_runs"] for study in studies), default=1),
        **({"margin_pp": min(study.plan["margin_pp"] for study in studies)} if studies else {}),
    }
    notes = [
        "these runs were gathered, not planned as one study: order, search and stopping were not under its control"
    ]
    notes += [f"study {study.plan['name']}: {text}" for study in studies for text in study.warnings]
    loose = [run for run in runs if run.budget == AS_RUN]
    faults = [fault for part in parts.values() if part.study for fault in inherited_faults(part.study, part.became)]
    return Study(validated(plan), runs, [*notes, *unfinished(loose)], inherited=[*faults, *lost_studies(loose)])


def net_key(record: Mapping[str, Any]) -> str | None:
    """The hash of net and data that a record states; None: unknown, so that no difference is taken."""
    return record.get("net_key") or None


def _gather(path: Path, parts: dict[str, Part]) -> None:
    """Add what a folder holds to ``parts``, by the folder of its study or of its run: each counts once."""
    if (home := _study_around(path)) is not None:
        if str(home) not in parts:
            study = load(home)
            planned = [run for run in study.runs if study.arms[run.arm]["role"] != "aa"]
            parts[str(home)] = Part(study, home, planned)
        return
    records = [path / RECORD] if (path / RECORD).exists() else sorted(path.glob(f"*/{RECORD}"))
    folders = [] if records else sorted(file.parent for file in path.glob(f"*/{FILE}"))
    if not records and not folders:
        raise InputError(f"{path} holds no run: expected {FILE} or {RECORD} in it, or in the folders in it")
    for folder in folders:
        _gather(folder, parts)
    for file in records:
        record, place = readable(read_record(file), file), file.parent
        run = Run("", record["seed"], AS_RUN, None, str(place), record["status"], record["error"], record)
        parts.setdefault(str(place.resolve()), Part(None, Path(), [run]))


def _study_around(path: Path) -> Path | None:
    """The folder of the study that a folder is, or holds runs of; None: there is none."""
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        if (folder / FILE).is_file():
            inside = resolved.relative_to(folder)
            listed = {Path(run["path"]) for run in read(folder)["runs"]} if inside.parts else set()
            return folder if any(inside in (run, *run.parents) for run in listed) or not inside.parts else None
    return None


def _arms(parts: Collection[Part]) -> tuple[list[dict[str, Any]], list[Run]]:
    """The arms of what was gathered, and its runs in them; each part learns which arms its own have become.

    A run without a record goes with the others of its arm; where none of these has one, nothing is known of the arm.
    """
    groups: dict[str, list[tuple[Part, Run]]] = {}
    for part in parts:
        keys: dict[tuple[str, str], str] = {}
        for run in sorted(part.runs, key=lambda run: run.record is None):
            place = run.arm, run.budget
            key = keys.get(place) if run.record is None else _group(run.record)
            if key is not None:
                keys.setdefault(place, key)
                groups.setdefault(key, []).append((part, run))
    first = [group[0][1].record or {} for group in groups.values()]
    arms, runs = [], []
    for name, record, group in zip(_names(first), first, groups.values(), strict=True):
        arms.append({"name": name, "algo": record["algo"], "settings": _shared(record), "net_key": net_key(record)})
        for part, run in group:
            part.became.setdefault((run.arm, run.budget), set()).add(name)
            runs.append(replace(run, arm=name, order=None, path=str(part.folder / run.path)))
    return arms, runs


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that all runs of its arm share."""
    return {key: value for key, value in record["config"].items() if key not in INCIDENTAL}


def _group(record: Mapping[str, Any]) -> str:
    """A key that is equal for two runs of one arm: settings, version of the rule, and data."""
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
