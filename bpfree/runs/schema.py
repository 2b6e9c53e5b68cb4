"""Schema of the run record, ``run.json``: every field with its type, its unit and its meaning.

How the schema changes:

* Within one version a field keeps its name, type, unit and meaning, and no field is added or taken away.
* A new fact goes into ``extensions``, a JSON object for each name (``a`` to ``z`` and ``_``). A plug-in begins its
  names with that of its package. A reader ignores the extensions that it does not know.
* A part whose maker is not bpfree (a meter's reading, a device, a data set, an instrument) may carry further keys,
  which a reader ignores as well.
* An extension that has proved permanent becomes a field of the next version. That version brings one pure function in
  `bpfree.runs.migrations` and a small folder in ``tests/runs/folders``; all older versions stay readable.
* The hash of a record is checked before it is migrated, and a migrated record keeps it: it names the file on disk.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from energy.labels import METHODS, UNAVAILABLE, worst

SCHEMA = "bpfree-run/2"
Label = Literal[METHODS]  # type: ignore[valid-type]
ExtensionName = Annotated[str, StringConstraints(pattern="^[a-z_]+$")]


class Part(BaseModel):
    """A part of the record with fixed keys."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Open(BaseModel):
    """A part that may carry further keys of whoever makes it."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


def field(meaning: str, unit: str = "", default: Any = ..., **more: Any) -> Any:
    """A field of the schema with what the documentation says of it.

    Args:
        meaning: the value in the field's terms.
        unit: of the number, such as ``J`` or ``s``; empty where it has none.
        default: value of a record that lacks the field; ``...``: the field is required.
        **more: other arguments of `pydantic.Field`, such as ``alias``.

    Returns:
        What `pydantic.Field` makes of it.
    """
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **more)


class Component(Open):
    """One component's energy in a window."""

    energy_j: float | None = field("energy, gross; null when the method is ``unavailable``", "J")
    method: Label = field("how the number came about, from the best label to the worst")
    source: str = field("counter, sensor or model that was read")
    boundary: str = field("hardware whose energy is included")
    uncertainty: str = field("known error of the source, in words")
    err_bound: float | None = field("bound of the error that the window's edges make, relative; null when unknown")
    tick_ms: float | None = field("time between two updates of the counter; null without one", "ms")
    reason: str = field("why the component is unavailable; empty when it is available")
    fake: bool = field("true for a test double")

    @model_validator(mode="after")
    def _null_when_unavailable(self) -> "Component":
        if (self.energy_j is None) != (self.method == UNAVAILABLE):
            raise ValueError("energy_j must be null exactly when the method is unavailable")
        if self.energy_j is None and not self.reason:
            raise ValueError("an unavailable component must say why")
        return self


class Window(Open):
    """One energy reading (see `energy.readings`): its total is the sum of what it includes, under the worst label."""

    seconds: float = field("wall time", "s")
    cpu_seconds: float = field("processor time of the process and of its children that have ended", "s")
    edges: int = field("readings of the counters that bound the window's stretches")
    total_j: float | None = field("sum of the components that have a value; null when none has", "J")
    method: Label = field("worst label among the components in the total")
    by_method: dict[Label, float] = field("energy of each label apart", "J")
    includes: list[str] = field("components in the total")
    lacks: list[str] = field("components without a value")
    err_bound: float | None = field("bound of the error that the edges make in the total, relative")
    fake: bool = field("true when a component in the total is a test double")
    within: str | None = field("window around this one; null for an outermost one")
    warnings: list[str] = field("reasons to trust the reading less")
    components: dict[str, Component] = field("readings by component")

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
    """The data set.

    Further keys: those of `bpfree.training.data.Spec`, ``rows`` of each part, and ``input``, the type of the raw values
    with the constants of their normalisation.
    """

    name: str = field("name, as on the command line")
    sha256: str | None = field("SHA-256 of the decoded payload; null when it cannot be known")
    source: str | None = field("origin and licence, in words", default=None)


class Result(Part):
    """Result of the run."""

    task: str = field("task, such as ``classification``")
    metric: str = field("metric, such as ``accuracy``")
    direction: Literal["max", "min"] = field("whether more of the metric is better, or less")
    test: float | None = field("metric on the test part", "metric (accuracy 0..1)")
    val: float | None = field("metric on the validation part of the state that was kept", "metric (accuracy 0..1)")
    predictions_sha256: str | None = field(
        "SHA-256 of the test predictions: classes as little-endian int64, other outputs as float32"
    )
    epochs: int = field("epochs trained, over all phases")
    data_passes: float = field("passes of the training data through the net, over all phases")
    readouts: dict[str, float | None] = field("test metric of each readout of the net", "metric", {})


class Time(Open):
    """Wall times."""

    train_s: float | None = field("training windows: no validation, no checkpoints, no loading", "s")
    wall_s: float | None = field("whole run, over all its resumptions", "s", None)


class Memory(Open):
    """Memory of training."""

    live_bytes: int | None = field(
        "most that tensors made by training hold at once, without parameters, optimizer state and data", "B", None
    )
    peak_bytes: int | None = field("peak of the process or device", "B")
    method: str = field("how the peak was measured")


class Device(Open):
    """The device that the run computed on."""

    type: str = field("``cpu`` or ``cuda``")
    name: str | None = field("name of the processor or board", default=None)
    driver: str | None = field("version of the driver", default=None)
    boot: str | None = field("identity of the machine's current boot, equal in its containers", default=None)


class Git(Part):
    """The checkout that the code ran from."""

    commit: str = field("commit")
    dirty: bool = field("whether the tree differed from the commit")


class Parameters(Part):
    """Numbers of parameters."""

    trained: int | None = field("trained by the rule in any phase", default=None)
    stored: int | None = field("numbers in the model file", default=None)
    inference: int | None = field("parameters that a prediction uses", default=None)


class Forwards(Part):
    """Forward passes through the net."""

    step: float | None = field("a training step", default=None)
    prediction: float | None = field("a prediction", default=None)


class Operations(Open):
    """Operations of one prediction, mean over the test part. No reading of a meter: no joules are added to these."""

    a_prediction: dict[str, float] = field("number of operations of each kind")
    energy: dict[str, Any] = field("energy modelled from these alone, with method, constants and source", default={})


class ExternalSystem(Open):
    """A physical system that the net worked with, in its own words."""

    system: str = field("kind of the system")
    physical_calls: dict[str, int] = field("calls of the system, in training and in inference", default={})
    digital_macs: dict[str, int] = field("multiply-adds of the digital machine beside it", default={})


class Record(Part):
    """One run: ``run.json``."""

    schema_: Literal["bpfree-run/2"] = field("version of this schema", alias="schema")
    command: str | None = field("command line", default=None)
    folder: str | None = field("folder of the run when it was written", default=None)
    config: dict[str, Any] = field("complete configuration, as in ``config.yaml``")
    config_sha256: str | None = field("SHA-256 of the configuration's canonical JSON", default=None)
    algo: str = field("rule, by name or ``FILE.py:Class``")
    algo_sha256: str | None = field("SHA-256 of the rule's file; null for a rule of the package", default=None)
    git: Git | None = field("commit of the code; null for an installed package", default=None)
    data: Data = field("data set")
    seed: int = field("seed of the run")
    seeds: dict[str, int] = field("seeds by purpose", default={})
    status: Literal["running", "finished", "stopped", "failed"] = field("how far the run came")
    error: str | None = field("why it was stopped or failed", default=None)
    limit: str | None = field("setting whose limit ended the run, ``max_steps`` or ``max_minutes``", default=None)
    started: str | None = field("time of the start", "ISO 8601", None)
    ended: str | None = field("time of the end", "ISO 8601", None)
    device: Device | None = field("device", default=None)
    versions: dict[str, str | None] = field("versions of Python and packages; null: not installed", default={})
    threads: int | None = field("threads of torch", default=None)
    processes: int | None = field("processes that trained together", default=None)
    batch_separable: bool | None = field("whether the loss is a mean over the examples of a batch", default=None)
    parameters: Parameters = field("numbers of parameters", default=Parameters())
    forwards: Forwards = field("forward passes a step and a prediction", default=Forwards())
    net_key: str | None = field(
        "hash of net and data: differences are taken between runs with equal ones", default=None
    )
    init_sha256: list[str] = field("hash of each block's initial weights", default=[])
    order_sha256: str | None = field(
        "hash of the first epoch's batches; null when their order is not known", default=None
    )
    phases: dict[str, int] = field("epochs that each phase may take", default={})
    phase: int = field("position of the phase in which the kept model was made", default=0)
    prefixes: dict[str, Literal["none", "cached", "recomputed"]] = field(
        "how each phase got its input: the data, a frozen prefix computed once, or one computed with every batch",
        default={},
    )
    result: Result = field("result")
    time: Time = field("wall times")
    memory: Memory = field("memory")
    energy: dict[str, Window] = field("reading of each window: setup, train, validate, save, predict")
    meter: dict[str, Any] = field("description of the meter (`energy.Meter.describe`)", default={})
    co2e: dict[str, Any] | None = field(
        "emissions derived from the energy (`energy.carbon.co2e`); bpfree writes null, as reports derive them",
        default=None,
    )
    operations: Operations | None = field("operations of a prediction, where the rule counts them", default=None)
    external_systems: list[ExternalSystem] = field("physical systems that the net worked with", default=[])
    model_sha256: str | None = field("SHA-256 of ``model.safetensors``", default=None)
    resumes: int = field("times that the run was resumed")
    history: list[dict[str, Any]] = field("an entry for each epoch, as in ``history.jsonl``")
    warnings: list[str] = field("reserved, and empty: reasons to trust the run less", default=[])
    extensions: dict[ExtensionName, dict[str, Any]] = field("facts beside this schema, by name", default={})
    fake: bool = field("true when a test double metered the run", default=False)
    record_sha256: str | None = field("SHA-256 of the canonical JSON of all other fields", default=None)

    @model_validator(mode="after")
    def _fake_is_marked(self) -> "Record":
        self.fake = self.fake or bool(self.meter.get("fake")) or any(window.fake for window in self.energy.values())
        return self
