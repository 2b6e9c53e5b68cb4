"""The run record: what one training run leaves behind as ``run.json``, and the only ways to write and read it.

A record is plain JSON with a schema version and a hash of itself. ``write`` checks it and replaces the file at once,
so that a reader never sees half of one; ``read`` refuses another schema and a record that was edited by hand.
Missing is null: a value that is not finite (a loss that became NaN) is written as null.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bpfree.errors import InputError
from bpfree.training.files import read_json, write_json
from energy.labels import METHODS, UNAVAILABLE, worst

SCHEMA = "bpfree-run/1"
Label = Literal[METHODS]  # type: ignore[valid-type]


class Part(BaseModel):
    """A part of the record with fixed keys."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Open(BaseModel):
    """A part that later versions may extend without a new schema."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Component(Open):
    """One component's energy in a window: J or null, with label, source, boundary, uncertainty and reason."""

    energy_j: float | None
    method: Label
    source: str
    boundary: str
    uncertainty: str
    err_bound: float | None
    tick_ms: float | None
    reason: str
    fake: bool

    @model_validator(mode="after")
    def _null_when_unavailable(self) -> "Component":
        if (self.energy_j is None) != (self.method == UNAVAILABLE):
            raise ValueError("energy_j must be null exactly when the method is unavailable")
        if self.energy_j is None and not self.reason:
            raise ValueError("an unavailable component must say why")
        return self


class Window(Open):
    """One energy reading (see ``energy.readings``): its total is the sum of what it includes, under the worst label."""

    seconds: float
    cpu_seconds: float
    edges: int
    total_j: float | None
    method: Label
    by_method: dict[Label, float]
    includes: list[str]
    lacks: list[str]
    err_bound: float | None
    fake: bool
    within: str | None
    warnings: list[str]
    components: dict[str, Component]

    @model_validator(mode="after")
    def _total_is_what_it_says(self) -> "Window":
        known = {name: c for name, c in self.components.items() if c.energy_j is not None}
        if sorted(self.includes) != sorted(known) or sorted(self.lacks) != sorted(
            self.components.keys() - known.keys()
        ):
            raise ValueError("includes and lacks do not name the components that have and lack a value")
        if self.method != worst(c.method for c in known.values()):
            raise ValueError(f"the method {self.method} is not the worst label that the total includes")
        total_j = sum(c.energy_j or 0.0 for c in known.values()) if known else None
        if (total_j is None) != (self.total_j is None) or not math.isclose(total_j or 0.0, self.total_j or 0.0):
            raise ValueError("total_j is not the sum of its components")
        if self.fake != any(c.fake for c in known.values()):
            raise ValueError("fake does not agree with the components")
        return self


class Data(Open):
    """The data set: name, SHA-256 of the payload, and where it came from."""

    name: str
    sha256: str | None
    source: str | None = None


class Result(Part):
    """What was reached. ``test`` and ``val`` are in the metric's own unit (accuracy as 0..1); ``readouts`` are test
    metrics of other readouts of the same trained net."""

    task: str
    metric: str
    direction: Literal["max", "min"]
    test: float | None
    val: float | None
    predictions_sha256: str | None
    epochs: int
    data_passes: float
    readouts: dict[str, float | None] = {}


class Time(Open):
    """Wall times in s."""

    train_s: float | None


class Memory(Open):
    """``live_bytes``: what the tensors made by training hold at most, without parameters, optimizer state and data.
    ``peak_bytes``: of the process or device, and how that was measured."""

    live_bytes: int | None = None
    peak_bytes: int | None
    method: str


class Device(Open):
    """What the run computed on."""

    type: str
    name: str | None = None
    driver: str | None = None


class Git(Part):
    """The code: commit and whether the tree differed from it."""

    commit: str
    dirty: bool


class Parameters(Part):
    """Numbers of parameters: that the rule trained, that the model file stores, that a prediction uses."""

    trained: int | None = None
    stored: int | None = None
    inference: int | None = None


class Forwards(Part):
    """Forward passes through the net a training step and a prediction."""

    step: float | None = None
    prediction: float | None = None


class Record(Part):
    """One run. ``energy`` maps a window (setup, train, validate, predict) to its reading; ``meter`` is
    ``Meter.describe()``; ``co2e`` comes from ``energy.carbon.co2e``; ``fake`` marks a run metered on a test double."""

    schema_: Literal["bpfree-run/1"] = Field(alias="schema")
    command: str | None = None
    config: dict[str, Any]
    config_sha256: str | None = None
    algo: str
    algo_sha256: str | None = None
    git: Git | None = None
    data: Data
    seed: int
    seeds: dict[str, int] = {}
    status: Literal["running", "finished", "stopped", "failed"]
    error: str | None = None
    started: str | None = None
    ended: str | None = None
    device: Device | None = None
    versions: dict[str, str | None] = {}
    threads: int | None = None
    parameters: Parameters = Parameters()
    forwards: Forwards = Forwards()
    result: Result
    time: Time
    memory: Memory
    energy: dict[str, Window]
    meter: dict[str, Any] = {}
    co2e: dict[str, Any] | None = None
    resumes: int
    history: list[dict[str, Any]]
    warnings: list[str] = []
    extra: dict[str, Any] = {}
    fake: bool = False
    record_sha256: str | None = None

    @model_validator(mode="after")
    def _fake_is_marked(self) -> "Record":
        self.fake = self.fake or bool(self.meter.get("fake")) or any(window.fake for window in self.energy.values())
        return self


def validated(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record checked against the schema, defaults filled in, as plain JSON types. InputError names the field."""
    found = record.get("schema")
    if found != SCHEMA:
        raise InputError(f"the record has schema {found!r}; this version reads and writes {SCHEMA!r}")
    try:
        model = Record.model_validate(_finite(record))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the record"
        raise InputError(f"the record does not fit {SCHEMA}: {where}: {first['msg']}") from error
    return model.model_dump(mode="json", by_alias=True)


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of a record without its own hash."""
    body = {key: value for key, value in record.items() if key != "record_sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write(record: Mapping[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check a record, add ``record_sha256``, put it at ``path`` in one step, and return it as written.

    Raises InputError for a record that does not fit the schema or a file that cannot be written; an older file at
    ``path`` then stays as it was, and nothing half-written stays behind.
    """
    full = validated(record)
    full["record_sha256"] = digest(full)
    write_json(full, Path(path), "record")
    return full


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record at ``path``. InputError when it is unreadable, has another schema, or does not match its hash."""
    record = read_json(Path(path), "record")
    stated, actual = record.get("record_sha256"), None
    if record.get("schema") == SCHEMA:
        actual = digest(record)
        if stated != actual:
            raise InputError(
                f"the record {path} was changed after it was written: it states sha256 {str(stated)[:12]}, "
                f"its content has {actual[:12]}"
            )
    return validated(record)


def _finite(value: Any) -> Any:
    """The same JSON with null for every number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
