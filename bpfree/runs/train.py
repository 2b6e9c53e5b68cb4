"""One configuration, one run: `train` builds data, net and rule, trains, tests, and leaves a folder and a record."""

import contextlib
import dataclasses
import datetime
import hashlib
import inspect
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
import yaml
from torch import Tensor

from bpfree.training import contract
from bpfree.runs import provenance
from bpfree.config import resolve as registry
from bpfree import data as data_room
from bpfree.training.callbacks import HistoryFile
from bpfree.training.checkpoint import CONFIG, MODEL, RECORD, ReadOnlyFolder, RunFolder, unshared, write_atomically
from bpfree.data import locations
from bpfree.training.data import Data
from bpfree.data.settings import DataSettings
from bpfree.training.device import pick_device
from bpfree.errors import InputError, RunFailed
from bpfree.functional.metrics import METRICS
from bpfree.training.loop import Loop, LoopSettings
from bpfree.training.owners import world
from bpfree.config.settings import as_dict, resolve
from bpfree.training.trainer import Trainer
from energy import EnergyError, Meter
from bpfree.runs import record as energy_record

_NAMES = ("algo", "data", "net")
GIVEN = "given in memory: "  # begins the data name of a run that was given arrays or a Dataset


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to run, checked and complete: names, and the settings of rule, net, data and loop."""

    cls: type[Trainer]
    algo: str
    data: Any
    net: str
    rule_settings: Any
    net_settings: Any
    data_settings: Any
    loop_settings: Any

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration that ``config.yaml`` holds."""
        name = self.data if isinstance(self.data, str) else GIVEN + type(self.data).__name__
        chosen = (self.rule_settings, self.net_settings, self.data_settings, self.loop_settings)
        return {"algo": self.algo, "data": name, "net": self.net, **as_dict(*chosen)}

    def net_key(self, data_sha256: str) -> str | None:
        """Hash of the net and of the data with its settings, but for the seed of the run: a difference between runs
        counts only where it is equal. None: the data have no hash."""
        if not data_sha256:
            return None
        data = {key: value for key, value in as_dict(self.data_settings).items() if key != "data_dir"}
        return provenance.sha256_of([self.net, as_dict(self.net_settings), data_sha256, data])

    def load_data(self) -> Data:
        seed = self.loop_settings.seed
        load = data_room.load if isinstance(self.data, str) else data_room.as_data
        return load(self.data, self.data_settings, seed)

    def build(self) -> Trainer:
        return self.cls(net=self.net, **dataclasses.asdict(self.rule_settings), **dataclasses.asdict(self.net_settings))


def _class_of(algo: str | type[Trainer]) -> type[Trainer]:
    """The rule, by name or as it is. InputError: it is no subclass of Trainer."""
    if isinstance(algo, str):
        return registry.rule(algo)
    if isinstance(algo, type) and issubclass(algo, Trainer):
        return algo
    what = f"a {type(algo).__name__}" if not isinstance(algo, type) else algo.__name__
    raise InputError(f"algo is {what}: give the name of a rule, or a subclass of bpfree.Trainer itself")


def settings_of(algo: str | type[Trainer], data: Any = None, net: str | None = None) -> dict[str, type]:
    """Who takes settings: title -> class, for this rule, data (None: the rule's) and net (None: `default_net`)."""
    cls = _class_of(algo)
    data = cls.data if data is None else data
    if isinstance(data, str) and data.startswith(GIVEN):
        raise InputError(f"data {data}: give the same from Python, with bpfree.train(…, data=…)")
    source = data_room.reader_of(data).Settings if isinstance(data, str) else DataSettings
    net = net or default_net(cls, data)
    return {"rule": cls.Settings, f"net {net}": registry.net(net)[1], "data": source, "run": LoopSettings}


def default_net(algo: str | type[Trainer], data: Any) -> str:
    """The net that is built when none is named: the rule's own, else that of ``data``."""
    cls = _class_of(algo)
    if not isinstance(data, str) or data.startswith(GIVEN):
        return cls.net or "mlp"
    reader = data_room.reader_of(data)
    return (reader.images and cls.image_net) or cls.net or reader.net


def plan(algo: str | type[Trainer], data: Any, net: str | None, values: Mapping[str, Any]) -> Plan:
    """Check a configuration; ``data`` and ``net`` None: the rule's own, `default_net`.

    Raises InputError: a name or setting that does not exist, or a value out of range.
    """
    cls = _class_of(algo)
    if not isinstance(net, str | None):
        kind, rule = type(net).__name__, cls.__name__
        raise InputError(f"net is a {kind}: give a name; blocks of your own go into the rule, {rule}(blocks).fit(data)")
    data = cls.data if data is None else data
    net = net or default_net(cls, data)
    classes = settings_of(cls, data, net).values()
    rule, shape, source, loop = resolve(classes, values, cls.prefer)
    if isinstance(data, str) and (":" in data or source.data_dir != DataSettings().data_dir):  # found from anywhere
        source = dataclasses.replace(source, data_dir=os.path.abspath(locations.path(source.data_dir)))
    loop = dataclasses.replace(loop, device=str(pick_device(loop.device)))
    return Plan(cls, _algo_name(algo), data, net, rule, shape, source, loop)


def train(
    algo: str | type[Trainer] | None = None,
    data: Any = None,
    *,
    net: str | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    meter: str = "auto",
    callbacks: Sequence[Any] = (),
    command: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train once, keep everything in a folder of its own, and return the record (``run.json``).

        record = bpfree.train("mono-forward", "mnist", epochs=5, lr=0.001)
        record["result"]["test"], record["energy"]["train"]["total_j"], record["energy"]["train"]["method"]

    Args:
        algo: name of a rule, ``FILE.py:Class``, or a Trainer subclass.
        data: a name (``mnist``, the default; ``npz:FILE``, ``folder:DIR``) or what `bpfree.data.as_data` takes.
        net: name of a net; None: the rule's own if it has one, else the data's (``mlp``, ``gnn`` for graphs, …).
        out: the run's folder, which must not exist; None: ``runs/<algo>-<data>-s<seed>-<id>``.
        resume: folder of a run to go on with; its configuration counts, and one that is finished is only read.
        meter: ``auto``, or the backend of `energy.Meter`: ``nvml``, ``rapl``, ``codecarbon``, ``none`` …
        callbacks: see `bpfree.training.callbacks.Callback`.
        command: for the record: what the user typed.
        **settings: of rule, net, data and loop, in one flat namespace.

    Under torchrun every process calls this with the same arguments; the first one owns the folder.

    Raises:
        InputError: something asked for cannot be done; nothing was written.
        RunFailed: the run diverged or could not write; the record says so and the last good checkpoint is kept.
    """
    named = {"algo": algo, "data": data, "net": net}
    given: dict[str, Any] = {**{key: value for key, value in named.items() if value is not None}, **settings}
    with _processes():
        if resume is not None:
            return _resume(Path(resume), given, out, meter, callbacks, command)
        if "algo" not in given:
            raise InputError(f"no rule given: choose algo from {', '.join(registry.names('rules'))}")
        algo, data, net = (given.pop(name, None) for name in ("algo", "data", "net"))
        chosen = plan(algo, data, net, given)
        return _Run(chosen, Path(out) if out else _default_folder(chosen), meter, callbacks, command).go()


def _resume(path: Path, given: dict, out: Any, meter: str, callbacks: Sequence[Any], command: str | None) -> dict:
    """Go on with the run in ``path``; what is given beside it must agree with its configuration."""
    if out is not None:
        raise InputError("out and resume exclude each other: a resumed run stays in its folder")
    stored, data = read_config(path), given.get("data")
    names = {key: _algo_name(given[key]) if key == "algo" else given[key] for key in ("algo", "net") if key in given}
    names |= {"data": data} if isinstance(data, str) else {}
    _agree(path, stored, names)
    values = {**stored, **given}
    asked = plan(values.pop("algo"), values.pop("data"), values.pop("net"), values)
    _agree(path, stored, {key: value for key, value in asked.config.items() if key in given and key not in _NAMES})
    previous = energy_record.read(path / RECORD) if (path / RECORD).exists() else None
    if previous and previous["status"] == "finished":
        return {**previous, "extra": {**previous["extra"], "folder": str(path)}}  # it may have been moved
    if previous and previous["algo_sha256"] != _source_hash(asked):
        raise InputError(f"the rule file {asked.algo} has changed since {path} was started: restore it, or start anew")
    return _Run(asked, path, meter, callbacks, command, resume=True, previous=previous).go()


def _agree(path: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if value != stored[key]:
            raise InputError(f"{path} was started with {key} = {stored[key]}, not {value}: leave it out, or start anew")


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of the run in ``path``."""
    try:
        config = yaml.safe_load((path / CONFIG).read_text())
    except FileNotFoundError:
        raise InputError(f"{path} holds no run ({CONFIG} is missing): give the folder of a run") from None
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path / CONFIG}: {str(error).splitlines()[0]}") from None
    if not isinstance(config, dict) or not all(isinstance(config.get(name), str) for name in _NAMES):
        raise InputError(f"{path / CONFIG} is not the configuration of a run: restore it, or start anew")
    return config


class _Run:
    """One run from its plan to its record; see `train` for the arguments."""

    def __init__(
        self,
        chosen: Plan,
        path: Path,
        meter: str,
        callbacks: Sequence[Any],
        command: str | None,
        *,
        resume: bool = False,
        previous: Mapping[str, Any] | None = None,
    ):
        self.plan, self.path, self.resume = chosen, path, resume
        self.callbacks, self.command = list(callbacks), command
        self.writes = world()[0] == 0
        self.previous: Mapping[str, Any] = previous or {}
        self.operations: dict[str, Any] | None = None
        self.model_sha256: str | None = None
        self.began_s = time.perf_counter()
        device = torch.device(chosen.loop_settings.device)
        if path.exists() and not resume and self.writes:
            raise InputError(f"{path} exists: choose another --out, or go on with --resume {path}")
        saved = ReadOnlyFolder(path, resume).load()  # a damaged checkpoint shows here, before anything changes
        sync = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else None
        self.peak_memory = provenance.watch_memory(device)
        earlier = saved["energy"] if saved else {}
        told = self.previous.get("time", {}).get("wall_s", 0.0)  # a run that was killed did not tell
        self.before_s = max(told, sum(window["seconds"] for window in earlier.values()))
        self.meter = meter_for(meter if self.writes else "none", device, sync, earlier)

    def go(self) -> dict[str, Any]:
        with contextlib.closing(self.meter):
            self.meter.enter("setup")
            data = self.plan.load_data()
            if self.previous and self.previous["data"]["sha256"] != (data.spec.sha256 or None):
                raise InputError(f"the data {data.spec.name} is not what {self.path} was started with: give the same")
            with contract.net_fits():
                options = dataclasses.asdict(self.plan.loop_settings)
                loop = self.loop = Loop(self.plan.build(), data, meter=self.meter, callbacks=self.callbacks, **options)
            self.facts = self._facts(data)
            self.origin = self._origin(data)
            del data  # else the raw examples would stay beside the ones that the loop moves to the device
            folder = self._folder()
            loop.folder = folder
            if isinstance(folder, RunFolder):
                loop.callbacks.append(HistoryFile(folder))
            try:
                return self._train(loop)
            except BaseException as error:
                self._failed(error)
                if isinstance(error, OSError | EnergyError):
                    raise RunFailed(f"could not write in {self.path}: {error}") from error
                raise
            finally:
                for callback in self.callbacks:
                    if hasattr(callback, "close"):
                        callback.close()
                if isinstance(folder, RunFolder):
                    folder.close()

    def _folder(self) -> RunFolder | ReadOnlyFolder:
        if not self.writes:
            return ReadOnlyFolder(self.path, self.resume)
        return RunFolder(self.path, self.resume, yaml.safe_dump(self.facts["config"], sort_keys=False))

    def _train(self, loop: Loop) -> dict[str, Any]:
        self._write(status="running")
        loop.run()
        status = "stopped" if loop.stop_reason else "finished"
        if loop.stop_reason:
            _best_so_far(loop)
        self.meter.enter("predict")
        result = _tested(loop) if status == "finished" else {}
        self.meter.enter("save")
        self.operations = provenance.operations(loop) if status == "finished" else None
        if self.writes:
            model = safetensors.torch.save(unshared(loop.trainer.state_dict()))
            self.model_sha256 = hashlib.sha256(model).hexdigest()
            write_atomically(self.path / MODEL, lambda file: file.write(model))
        self.meter.close()
        return self._write(status=status, error=loop.stop_reason or None, **result)

    def _failed(self, error: BaseException) -> None:
        """A run that never took a step leaves nothing; one that did says in its record how it ended."""
        if not self.writes:
            return
        if not self.resume and self.loop.cursor.steps == 0:
            shutil.rmtree(self.path, ignore_errors=True)
        elif isinstance(error, Exception):
            with contextlib.suppress(EnergyError, OSError):
                self._write(status="failed", error=str(error) or type(error).__name__)

    # The record -------------------------------------------------------------------------------------------------------

    def _facts(self, data: Data) -> dict[str, Any]:
        """What is known when the run begins."""
        chosen, loop = self.plan, self.loop
        config, trainer = chosen.config, loop.trainer
        return {
            "schema": energy_record.SCHEMA,
            "command": self.command,
            "config": config,
            "config_sha256": provenance.sha256_of(config),
            "algo": chosen.algo,
            "algo_sha256": _source_hash(chosen),
            "git": provenance.git(),
            "data": provenance.data(data),
            "seed": chosen.loop_settings.seed,
            "seeds": provenance.seeds(chosen.loop_settings.seed, getattr(chosen.data_settings, "split_seed", None)),
            "started": self.previous.get("started") or now(),
            "device": provenance.device(loop.device),
            "versions": provenance.versions(),
            "threads": torch.get_num_threads(),
            "parameters": provenance.parameters(loop),
            "forwards": dict(zip(("step", "prediction"), trainer.forward_passes, strict=True)),
            "resumes": self.previous.get("resumes", 0) + 1 if self.resume else 0,
        }

    def _origin(self, data: Data) -> dict[str, Any]:
        """What two runs must share to be compared: net and data, initial weights, order of the data."""
        seed, rows = self.plan.loop_settings.seed, len(data.train)
        return {
            "net_key": self.plan.net_key(data.spec.sha256),
            "init_sha256": [provenance.weights_sha256(block) for block in self.loop.trainer.blocks],
            "order_sha256": provenance.order_sha256(seed, rows, self.loop.rule.batch_size) if data.train.ordered else None,
        }

    def _write(self, status: str, error: str | None = None, **result: Any) -> dict[str, Any]:
        """The record as the run now stands, to ``run.json``; returned as written."""
        loop, spec = self.loop, self.loop.data.spec
        cursor, (peak, method), earlier = loop.cursor, self.peak_memory(), self.previous.get("memory") or {}
        wall_s = time.perf_counter() - self.began_s + self.before_s
        record = {
            **self.facts,
            "status": status,
            "error": error,
            "ended": None if status == "running" else now(),
            "result": {
                "task": spec.task,
                "metric": spec.metric,
                "direction": "max" if spec.maximize else "min",
                "test": None,
                "val": loop.value,
                "predictions_sha256": None,
                "epochs": cursor.epochs,
                "data_passes": loop.data_passes,
                **result,
            },
            "time": {"train_s": cursor.train_s, "wall_s": wall_s},
            "memory": {
                "live_bytes": max(loop.live.peak, earlier.get("live_bytes") or 0) or None,
                "peak_bytes": max(peak, earlier.get("peak_bytes") or 0),
                "method": method,
            },
            "energy": {name: provenance.energy(reading, loop.outside) for name, reading in self.meter.readings().items()},
            "meter": self.meter.describe(),
            "history": loop.history,
            "extra": {
                "prefixes": loop.prefixes,
                "phase": loop.phases.index(loop.trainer.phase),
                "phases": {phase.name: phase.epochs for phase in loop.phases},
                "processes": world()[1],
                "batch_separable": loop.trainer.batch_separable,
                "outside": [thing.report() for thing in loop.outside],
                "operations": self.operations,
                "model_sha256": self.model_sha256,
                "folder": str(self.path),
                **self.origin,
            },
        }
        return energy_record.write(record, self.path / RECORD) if self.writes else energy_record.validated(record)


def meter_for(backend: str, device: torch.device, sync: Callable[[], object] | None, earlier: Any) -> Meter:
    """A meter that counts no GPU but the run's own."""
    try:
        return Meter(backend, sync, earlier, gpus=_gpus(device))
    except EnergyError:
        if backend != "auto":
            raise
        return Meter(backend, sync, earlier)  # NVML is not there, or does not know this GPU: the record says so


def _gpus(device: torch.device) -> list[str] | None:
    """UUIDs of the GPUs that the run computes on; None, all visible ones, when it is spread over several."""
    if device.type != "cuda":
        return []
    return None if world()[1] > 1 else [f"GPU-{torch.cuda.get_device_properties(device).uuid}"]


def _tested(loop: Loop) -> dict[str, Any]:
    """The test part, read once with the configured readout and once with each other one that the rule offers."""
    trainer, source = loop.trainer, loop.data.test
    if source is None:
        return {}
    metric = METRICS[loop.data.spec.metric]
    scores, y = loop.scores(source)
    found = {"test": metric(scores, y).item(), "predictions_sha256": _hash(scores, loop.data.spec.classes > 0)}
    readouts, settings = {}, trainer.settings
    for readout in trainer.readouts:
        if readout == settings.readout:
            readouts[readout] = found["test"]
            continue
        trainer.settings = dataclasses.replace(settings, readout=readout)
        try:
            readouts[readout] = loop.evaluate(source)
        finally:
            trainer.settings = settings
    return {**found, "readouts": readouts}


def _hash(scores: Tensor, classes: bool) -> str:
    """SHA-256 of the predicted classes as little-endian int64, or of other outputs as little-endian float32."""
    values = scores.argmax(-1).cpu().numpy().astype("<i8") if classes else scores.cpu().numpy().astype("<f4")
    return hashlib.sha256(values.tobytes()).hexdigest()


def _best_so_far(loop: Loop) -> None:
    """After a stop, the state to keep as the model: the phase's own, or the phase before when it has none yet."""
    if loop.early.best_state:
        if loop.rule.keep == "best":
            loop.early.restore(loop.trainer)
    elif loop.cursor.phase > 0:
        loop.trainer.phase = loop.phases[loop.cursor.phase - 1]


@contextlib.contextmanager
def _processes() -> Iterator[None]:
    """The process group of torchrun, for the time of the run."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
        dist.barrier()  # a thread of gloo that still held a tensor when Python ends would abort the process
    finally:
        dist.destroy_process_group()


def is_first_process() -> bool:
    """Whether this process owns folder, record and screen; also before torchrun's processes have met."""
    return int(os.environ.get("RANK", "0")) == 0


def _default_folder(chosen: Plan) -> Path:
    kind, _, where = chosen.config["data"].partition(":")
    data = kind if isinstance(chosen.data, str) else "own"
    file = registry.file_and_class(chosen.algo)
    parts = [file[0].stem if file else chosen.algo, data, Path(where.strip()).stem]
    name = "-".join(part for part in parts if part)
    return Path("runs") / f"{name}-s{chosen.loop_settings.seed}-{uuid.uuid4().hex[:6]}"


def new_folder(kind: str, data: str) -> Path:
    """A folder under ``runs`` that nobody has yet."""
    name, _, where = data.partition(":")
    parts = (kind, name, Path(where.strip()).stem)
    return Path("runs") / f"{'-'.join(part for part in parts if part)}-{uuid.uuid4().hex[:6]}"


def _algo_name(algo: str | type[Trainer]) -> str:
    """The name under which `registry.rule` finds a rule again from anywhere: files by their absolute path."""
    if isinstance(algo, str):
        file = registry.file_and_class(algo)
        return ":".join(filter(None, (str(file[0].resolve()), file[1]))) if file else algo
    cls = algo
    if cls.__module__.startswith("bpfree.rules."):
        return cls.__module__.rpartition(".")[2].replace("_", "-")
    try:
        path = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):  # typed into a notebook
        return cls.__name__
    return f"{path}:{cls.__name__}" if path.is_file() else cls.__name__


def _source_hash(chosen: Plan) -> str | None:
    return registry.source_hash(chosen.algo)


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
