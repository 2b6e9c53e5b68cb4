"""A study: arms x seeds x budgets as separate runs, in a folder with ``study.json``, or gathered from loose runs.

``study.json`` says what was planned; every number is in the runs' own records, which carry a hash.
Whoever reads a study gets both: ``load(folder)`` for a study that was planned, ``collect(paths)`` for anything else.
What cannot be true of an honest study: `bpfree.reports.validity.faults`.
"""

import datetime
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from bpfree.errors import InputError
from bpfree.runs.record import read as read_record
from bpfree.runs.schema import Open
from bpfree.training.files import read_json, write_json

SCHEMA = "bpfree-study/1"
FILE = "study.json"
RECORD = "run.json"
OWN, MATCHED = "own convergence", "matched passes"  # the budgets of a planned study
AS_RUN = "as run"  # the budget of runs that no study planned
BASELINE = "backprop"  # the rule that loose runs are held against

INCIDENTAL = {"seed", "data_dir"}  # settings in which the runs of one arm may differ


class Arm(Open):
    """One arm: a rule with settings. ``net_key``: a hash of net and data; differences need equal ones. ``search``: what
    its tuning took, ``{"trials": n, "cost": {...}}``."""

    name: str
    algo: str
    settings: dict[str, Any] = {}
    net_key: str | None = None
    role: Literal["arm", "twin", "control", "aa"] = "arm"
    twin_of: str | None = None
    search: dict[str, Any] | None = None


class Listed(Open):
    """One run as the study lists it; ``path`` of its folder is relative to the study's."""

    arm: str
    seed: int
    budget: str
    order: int | None = None
    path: str
    status: Literal["planned", "running", "finished", "stopped", "failed"]
    error: str | None = None


class Plan(Open):
    """``study.json``."""

    schema_: Literal["bpfree-study/1"] = Field(alias="schema")
    name: str
    question: str = ""
    created: str | None = None
    arms: list[Arm] = Field(min_length=1)
    budgets: list[str] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    quick: bool = False
    data: Any = None
    margin_pp: float = Field(0.25, gt=0)
    target: float | None = None
    runs: list[Listed] = []
    idle: dict[str, Any] | None = None
    warnings: list[str] = []

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Plan":
        arms = [arm.name for arm in self.arms]
        for what, given in (("seed", self.seeds), ("arm", arms), ("budget", self.budgets)):
            twice = sorted(str(item) for item, count in Counter(given).items() if count > 1)
            if twice:
                raise ValueError(f"{what} {', '.join(twice)} given twice: each counts once")
        strangers = sorted({run.arm for run in self.runs} - set(arms))
        if strangers:
            raise ValueError(f"runs of {', '.join(strangers)}, which is no arm of this study")
        return self


@dataclass(frozen=True)
class Run:
    """A run as listed, with its record (None when there is none)."""

    arm: str
    seed: int
    budget: str
    order: int | None
    path: str
    status: str
    error: str | None
    record: dict[str, Any] | None

    @property
    def finished(self) -> bool:
        return self.status == "finished" and self.record is not None


@dataclass
class Study:
    """What was planned (``plan``: ``study.json`` as a dictionary) and all that came of it."""

    plan: dict[str, Any]
    runs: list[Run]
    warnings: list[str] = field(default_factory=list)

    @property
    def arms(self) -> dict[str, dict[str, Any]]:
        return {arm["name"]: arm for arm in self.plan["arms"]}

    def of(self, arm: str, budget: str) -> list[Run]:
        """The runs of an arm in a budget, by seed."""
        return sorted((r for r in self.runs if (r.arm, r.budget) == (arm, budget)), key=lambda run: run.seed)


def validated(plan: Mapping[str, Any]) -> dict[str, Any]:
    """``study.json`` checked, with defaults filled in. InputError names what does not fit."""
    found = plan.get("schema")
    if found != SCHEMA:
        raise InputError(f"the study has schema {found!r}; this version reads and writes {SCHEMA!r}")
    try:
        return Plan.model_validate(plan).model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the study"
        raise InputError(f"the study does not fit {SCHEMA}: {where}: {first['msg']}") from error


def write(plan: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Check a plan and replace ``folder/study.json`` in one step; returned as written."""
    full = validated(plan)
    write_json(full, Path(folder) / FILE, "study")
    return full


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """``study.json`` of a folder. InputError when it is missing, no JSON, or of another schema."""
    return validated(read_json(Path(folder) / FILE, "study"))


def load(folder: str | os.PathLike[str]) -> Study:
    """The study in ``folder`` with the record of every run that left one.

    Raises InputError for a study or record that is damaged, of another schema, or was edited by hand.
    """
    plan, folder, runs = read(folder), Path(folder), []
    for listed in plan["runs"]:
        path = folder / listed["path"] / RECORD
        record = read_record(path) if path.exists() else None
        status, error = listed["status"], listed["error"]
        if record is None and status == "finished":
            status, error = "failed", f"its record {listed['path']}/{RECORD} is missing"
        elif record is not None and status != "planned" and record["status"] not in (status, "running"):
            status, error = record["status"], record["error"] or error
        runs.append(
            Run(listed["arm"], listed["seed"], listed["budget"], listed["order"], listed["path"], status, error, record)
        )
    return Study(plan, runs, [*plan["warnings"], *_not_finished(runs)])


def collect(paths: Sequence[str | os.PathLike[str]]) -> Study:
    """One study from folders of studies, runs, or folders that hold runs, made anywhere.

    Loose runs are grouped into arms by their configuration without the seed. A single study is returned as planned.
    Raises InputError for a folder that holds no run, and for runs that share no data.
    """
    if not paths:
        raise InputError("no folder given: give the folder of a study, or of runs")
    if len(paths) == 1 and (Path(paths[0]) / FILE).exists():
        return load(paths[0])
    studies: dict[str, Study] = {}
    found = [run for path in paths for run in _runs_under(Path(path), studies)]
    unique = list({str(Path(run.path).resolve()): run for run in found}.values())
    groups: dict[str, list[Run]] = {}
    for run in unique:
        groups.setdefault(_group(run), []).append(run)
    names = _names([runs[0].record or {} for runs in groups.values()])
    arms, runs = [], []
    for name, group in zip(names, groups.values(), strict=True):
        record = group[0].record or {}
        config = {key: value for key, value in record["config"].items() if key not in INCIDENTAL}
        arms.append({"name": name, "algo": record["algo"], "settings": config, "net_key": net_key(record)})
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
    return Study(validated(plan), runs, [*notes, *_not_finished(loose)])


def net_key(record: Mapping[str, Any]) -> str | None:
    """The hash of net and data that a run states; None: unknown, so that no difference is taken."""
    return record.get("net_key") or None


def _runs_under(path: Path, seen: dict[str, Study]) -> Iterator[Run]:
    """Runs in a folder; the studies that they were planned in come into ``seen``. Repeats for the A/A arm are left."""
    if (path / FILE).exists():
        study = seen[str(path.resolve())] = load(path)
        for run in study.runs:
            if run.record is not None and study.arms[run.arm]["role"] != "aa":
                yield replace(run, path=str(path / run.path))
        return
    records = [path / RECORD] if (path / RECORD).exists() else sorted(path.glob(f"*/{RECORD}"))
    studies = [] if records else sorted(file.parent for file in path.glob(f"*/{FILE}"))
    if not records and not studies:
        raise InputError(f"{path} holds no run: expected {FILE} or {RECORD} in it, or in the folders in it")
    for folder in studies:
        yield from _runs_under(folder, seen)
    for file in records:
        record = read_record(file)
        yield Run("", record["seed"], AS_RUN, None, str(file.parent), record["status"], record["error"], record)


def _group(run: Run) -> str:
    record = run.record or {}
    config = {key: value for key, value in record["config"].items() if key not in INCIDENTAL}
    same = [config, record["algo_sha256"], record["data"]["sha256"]]
    return json.dumps(same, sort_keys=True)


def _names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each group: its rule, and the settings in which it differs from the others of that rule."""
    names = []
    for record in records:
        others = [other["config"] for other in records if other["algo"] == record["algo"]]
        config = record["config"]
        differ = [key for key in config if key not in INCIDENTAL and any(o.get(key) != config[key] for o in others)]
        names.append(record["algo"] + (":" + ",".join(f"{key}={config[key]}" for key in differ) if differ else ""))
    return [name if names.count(name) == 1 else f"{name}#{names[:k].count(name) + 1}" for k, name in enumerate(names)]


def _not_finished(runs: Sequence[Run]) -> list[str]:
    """A line for all runs of an arm and budget that ended in one way."""
    ended: dict[tuple[str, str, str, str | None], list[int]] = {}
    for run in runs:
        if run.status not in ("finished", "planned", "running"):
            ended.setdefault((run.arm, run.budget, run.status, run.error), []).append(run.seed)
    return [
        f"{arm}, {budget}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}: {status}"
        + (f" ({error})" if error else "")
        for (arm, budget, status, error), seeds in ended.items()
    ]
