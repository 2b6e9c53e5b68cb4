"""A study: arms x seeds x budgets as separate runs, in a folder with ``study.json``.

``study.json`` says what was planned; every number is in the runs' own records, which carry a hash. `load` reads both.
Studies that nobody planned, gathered from loose runs: `bpfree.reports.gathering`. What cannot be true of an honest
study: `bpfree.reports.validity`.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, model_validator

from bpfree.errors import InputError
from bpfree.reports.foreign import readable
from bpfree.reports.migrations import migrated
from bpfree.runs.record import read as read_record
from bpfree.runs.record import sha256_of
from bpfree.runs.schema import Open
from bpfree.training.files import read_json, write_json

if TYPE_CHECKING:
    from bpfree.reports.validity.fault import Fault

SCHEMA = "bpfree-study/2"
FILE = "study.json"
RECORD = "run.json"
RUNS = "runs"  # folder of a study's runs, in its own
OWN, MATCHED = "own convergence", "matched passes"  # the budgets of a planned study
AS_RUN = "as run"  # the budget of runs that no study planned
EXTENSION = "study"  # of study.json and of its runs' records: the hash of the definition, fixed before the first run
BASELINE = "backprop"  # the rule that the others are compared with


class Arm(Open):
    """One arm: a rule with settings.

    Attributes:
        name: unique in the study, shown in reports.
        algo: the rule, a name or ``FILE.py:Class``.
        settings: of rule, net, data and loop, resolved, without the seed.
        net_key: hash of net and data; differences are taken between arms with equal ones; None: unknown.
        role: ``twin``: plain backpropagation on the same net; ``aa``: the first arm once more.
        twin_of: the arm of which it is twin or repeat.
        reference: the arm of which it is twin, control or repeat.
        written: names of the settings in the arm's text.
        search: the search before the runs: ``trials``, ``cost``, ``params``, ``space``; None: no search.
    """

    name: str
    algo: str
    settings: dict[str, Any] = {}
    net_key: str | None = None
    role: Literal["arm", "twin", "control", "aa"] = "arm"
    twin_of: str | None = None
    reference: str | None = None
    written: list[str] = []
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


class Definition(Open):
    """The arguments with which a study was started: the same ones go on with it.

    ``settings`` are values; earlier versions kept them as typed (``"1"`` for 1). A field that a later
    version adds needs a default, so that studies of today keep their definition.
    """

    algos: list[str]
    data: str
    net: str | None = None
    seeds: list[int]
    controls: list[str] | None = None
    tune: int | None = None
    tune_epochs: int = 20
    quick: bool = False
    settings: dict[str, Any] = {}
    target: float | None = None
    margin_pp: float = 0.25
    meter: str = "auto"


class Stated(Open):
    """A result that someone states of an arm's runs, such as a paper: checked against them.

    ``digits``: decimal places that it is rounded to.
    """

    arm: str
    budget: str
    mean: float = Field(allow_inf_nan=False)
    sd: float | None = Field(None, ge=0, allow_inf_nan=False)
    n: int | None = Field(None, ge=1)
    digits: int = Field(ge=0, le=20)


class Plan(Open):
    """``study.json``.

    Attributes:
        margin_pp: percentage points of the metric within which two arms count as equivalent.
        target: value of the test metric whose cost is compared.
        idle: idle power, as `energy.idle.idle_power` gives it.
        passes: net key -> data passes of the budget of matched passes.
        concurrent_runs: the most runs that went on at the same time.
        stopped: whether the study was cut short.
        stated: results that others state of these runs.
        extensions: name -> JSON object, for later versions and plug-ins; readers ignore names that they do not know.
    """

    schema_: Literal["bpfree-study/2"] = Field(alias="schema")
    name: str
    question: str = ""
    created: str | None = None
    arms: list[Arm] = Field(min_length=1)
    budgets: list[str] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    quick: bool = False
    data: Any = None
    margin_pp: float = Field(0.25, gt=0, allow_inf_nan=False)
    target: float | None = Field(None, allow_inf_nan=False)
    runs: list[Listed] = []
    idle: dict[str, Any] | None = None
    warnings: list[str] = []
    definition: Definition | None = None
    passes: dict[str, float | None] = {}
    concurrent_runs: int = Field(1, ge=1)
    stopped: bool = False
    stated: list[Stated] = []
    extensions: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Plan":
        arms = [arm.name for arm in self.arms]
        for kind, values in (("seed", self.seeds), ("arm", arms), ("budget", self.budgets)):
            repeated = sorted(str(item) for item, count in Counter(values).items() if count > 1)
            if repeated:
                raise ValueError(f"{kind} {', '.join(repeated)} given twice: each counts once")
        strangers = sorted({run.arm for run in self.runs} - set(arms))
        if strangers:
            raise ValueError(f"runs of {', '.join(strangers)}, which is no arm of this study")
        for claim in self.stated:
            if claim.arm not in arms or claim.budget not in self.budgets:
                raise ValueError(f"a result is stated of {claim.arm}, {claim.budget}, which is not in this study")
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
        """True for a run that ended well and left its record."""
        return self.status == "finished" and self.record is not None


@dataclass
class Study:
    """A plan (``study.json`` as a dictionary) with the records of its runs.

    Attributes:
        plan: with defaults filled in; it does not change.
        runs: as listed.
        warnings: for the reader of the report.
        definition: of the study, as its file has it, without defaults; None: there is none.
        unlisted: paths of records in its folder that the plan does not list.
        inherited: faults of the studies that it was gathered from.
    """

    plan: dict[str, Any]
    runs: list[Run]
    warnings: list[str] = field(default_factory=list)
    definition: dict[str, Any] | None = None
    unlisted: Sequence[str] = ()
    inherited: Sequence["Fault"] = ()

    @property
    def definition_sha256(self) -> str | None:
        """The hash of the definition as it now is; None: there is none."""
        return None if self.definition is None else sha256_of(self.definition)

    @cached_property
    def arms(self) -> dict[str, dict[str, Any]]:
        """Name -> arm, in the order of the plan."""
        return {arm["name"]: arm for arm in self.plan["arms"]}

    def of(self, arm: str, budget: str) -> list[Run]:
        """The runs of an arm in a budget, by seed."""
        return self._by_place.get((arm, budget), [])

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], list[Run]]:
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in sorted(self.runs, key=lambda run: run.seed):
            groups.setdefault((run.arm, run.budget), []).append(run)
        return groups


def validated(plan: Mapping[str, Any]) -> dict[str, Any]:
    """``plan`` checked against the schema, with defaults filled in.

    Raises:
        InputError: another schema, or the first field that does not fit.
    """
    schema = plan.get("schema")
    if schema != SCHEMA:
        raise InputError(f"the study has schema {schema!r}; this version reads and writes {SCHEMA!r}")
    try:
        return Plan.model_validate(plan).model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the study"
        raise InputError(f"the study does not fit {SCHEMA}: {where}: {first['msg']}") from error


def write(plan: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Check a plan and replace ``study.json`` in one step.

    Args:
        plan: content of ``study.json``, in the present schema.
        folder: of the study; it exists.

    Returns:
        The plan as written, with defaults filled in.

    Raises:
        InputError: the plan does not fit the schema.
        RunFailed: the file cannot be written; the one before stays.
    """
    full = validated(plan)
    write_json(full, Path(folder) / FILE, "study")
    return full


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """``study.json`` of a folder, of this or an earlier schema, in the present one.

    Raises:
        InputError: it is missing, no JSON, or of an unknown schema.
    """
    return validated(migrated(read_json(Path(folder) / FILE, "study")))


def load(folder: str | os.PathLike[str]) -> Study:
    """The study in ``folder`` with the record of every run that left one.

    Raises:
        InputError: a study or record that is damaged, of an unknown schema, or was edited by hand.
    """
    folder, runs = Path(folder), []
    raw = migrated(read_json(folder / FILE, "study"))
    plan = validated(raw)
    for listed in plan["runs"]:
        path = folder / listed["path"] / RECORD
        record = readable(read_record(path), path) if path.exists() else None
        status, error = listed["status"], listed["error"]
        if record is None and status == "finished":
            status, error = "failed", f"its record {listed['path']}/{RECORD} is missing"
        elif record is not None and status != "planned" and record["status"] not in (status, "running"):
            status, error = record["status"], record["error"] or error
        runs.append(
            Run(listed["arm"], listed["seed"], listed["budget"], listed["order"], listed["path"], status, error, record)
        )
    return Study(plan, runs, [*plan["warnings"], *unfinished(runs)], raw.get("definition"), _unlisted(folder, plan))


def _unlisted(folder: Path, plan: Mapping[str, Any]) -> list[str]:
    """The runs beside those of a study that carry its definition, and that it does not list."""
    fixed = plan["extensions"].get(EXTENSION, {}).get("definition_sha256")
    listed = {folder / run["path"] for run in plan["runs"]}
    others = [file for file in sorted((folder / RUNS).rglob(RECORD)) if file.parent not in listed] if fixed else []
    abouts = [(file, read_json(file, "record").get("extensions")) for file in others]
    return [
        str(file.parent.relative_to(folder))
        for file, about in abouts
        if isinstance(about, dict) and (about.get(EXTENSION) or {}).get("definition_sha256") == fixed
    ]


def unfinished(runs: Sequence[Run]) -> list[str]:
    """A sentence for all runs of an arm and budget that stopped or failed for the same reason."""
    seeds_by_end: dict[tuple[str, str, str, str | None], list[int]] = {}
    for run in runs:
        if run.status not in ("finished", "planned", "running"):
            seeds_by_end.setdefault((run.arm, run.budget, run.status, run.error), []).append(run.seed)
    return [
        f"{arm}, {budget}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}: {status}"
        + (f" ({error})" if error else "")
        for (arm, budget, status, error), seeds in seeds_by_end.items()
    ]
