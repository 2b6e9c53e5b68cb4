"""One configuration, one run: `train` builds data, net and rule, trains, tests, and leaves a folder and a record."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

from bpfree.config.user_files import absolute
from bpfree.data import absolute as absolute_data
from bpfree.errors import InputError
from bpfree.rules import RULES
from bpfree.runs import provenance
from bpfree.runs import record as records
from bpfree.runs.history_file import HistoryFile
from bpfree.runs.meters import meter_for
from bpfree.runs.metrics import beside
from bpfree.runs.plan import NAMES, Plan, algo_name, default_folder, plan, read_config
from bpfree.runs.recorder import Recorder
from bpfree.runs.results import keep_best_so_far, tested
from bpfree.runs.weights import start_from
from bpfree.training import contract
from bpfree.training.checkpoint import unshared
from bpfree.training.distributed import gathered, process_group, world
from bpfree.training.files import write_atomically
from bpfree.training.loop import Loop
from bpfree.training.run_folder import MODEL, RECORD, ReadOnlyFolder, RunFolder
from bpfree.training.trainer import Trainer


def train(
    algo: str | type[Trainer] | None = None,
    data: Any = None,
    *,
    net: Any = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    meter: str = "auto",
    callbacks: Sequence[Any] = (),
    command: str | None = None,
    extensions: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train once, keep everything in a folder of its own, and return the record (``run.json``).

        record = bpfree.train("mono-forward", "mnist", epochs=5, lr=0.001)
        record["result"]["test"], record["energy"]["train"]["total_j"], record["energy"]["train"]["method"]

    Under torchrun every process calls this with the same arguments; the first one owns the folder.

    Args:
        algo: name of a rule, ``FILE.py:Class``, or a Trainer subclass.
        data: a name (``mnist``, the default; ``npz:FILE``, ``folder:DIR``), ``FILE.py:function`` or what
            `bpfree.data.as_data` takes.
        net: name of a net, ``FILE.py:function``, or blocks, of which a copy is trained; None: the rule's default if it
            has one, else the data's (``mlp``, ``gnn`` for graphs, …).
        out: the run's folder, which must not exist; None: ``runs/<algo>-<data>-s<seed>-<id>``.
        resume: folder of a run to go on with; its configuration counts, and one that is finished is only read.
        meter: ``auto`` or another backend of `energy.Meter`: ``nvml``, ``rapl``, ``codecarbon``, ``none`` …; or a meter
            of one's own, ``FILE.py:Class`` or a plug-in (see `bpfree.runs.meters`).
        callbacks: see `bpfree.training.callbacks.Callback`.
        command: for the record: the command that the user typed.
        extensions: for the record: facts beside its schema, by name; a resumed run keeps those that it began with.
        **settings: of rule, net, data and loop, in one flat namespace.

    Returns:
        The record.

    Raises:
        InputError: the request cannot be met; nothing was written.
        RunFailed: the run diverged or could not write; the record says so and the last good checkpoint is kept.
        Exception: any error of a callback, a meter or the rule, as it was raised; the record says so too.
    """
    names = {"algo": algo, "data": data, "net": net}
    values: dict[str, Any] = {**{key: value for key, value in names.items() if value is not None}, **settings}
    with process_group():
        if resume is not None:
            return _resume(Path(resume), values, out, meter, callbacks, command)
        if "algo" not in values:
            raise InputError(f"no rule given: choose algo from {', '.join(RULES.choices())}")
        algo, data, net = (values.pop(name, None) for name in NAMES)
        planned = plan(algo, data, net, values)
        path = Path(out) if out else gathered(default_folder(planned))[0]  # every process draws other random digits
        return _Run(planned, path, meter, callbacks, command, extensions=extensions).go()


def _resume(path: Path, values: dict, out: Any, meter: str, callbacks: Sequence[Any], command: str | None) -> dict:
    """Go on with the run in ``path``; names and ``values`` beside it must agree with its configuration."""
    if out is not None:
        raise InputError("out and resume exclude each other: a resumed run stays in its folder")
    planned = _plan_again(path, values)
    if record := _finished(path):  # before the lock, as the folder may be one that cannot be written
        return record
    folder = RunFolder(path, resume=True) if world()[0] == 0 else ReadOnlyFolder(path, resume=True)
    with contextlib.closing(folder):  # from here on no other process changes what is read
        return _finished(path) or _Run(planned, path, meter, callbacks, command, folder).go()


def _plan_again(path: Path, values: Mapping[str, Any]) -> Plan:
    """The plan of the run in ``path``, which ``values`` must not change. A setting that it lacks has its default."""
    stored, names = read_config(path), {key: values[key] for key in NAMES if key in values}
    from_anywhere = {"algo": algo_name, "data": absolute_data, "net": absolute}
    texts = {key: from_anywhere[key](value) for key, value in names.items() if key == "algo" or isinstance(value, str)}
    _agree(path, stored, texts)
    before, now = (_planned({**stored, **changes}) for changes in (names, values))
    _agree(path, before.config, {key: now.config[key] for key in values if key not in NAMES})
    return now


def _planned(config: Mapping[str, Any]) -> Plan:
    values = dict(config)
    algo, data, net = (values.pop(name) for name in NAMES)
    return plan(algo, data, net, values)


def _agree(path: Path, stored: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse ``values`` that differ from the ``stored`` configuration of the run in ``path``."""
    for key, value in values.items():
        if value != stored[key]:
            raise InputError(f"{path} was started with {key} = {stored[key]}, not {value}: leave it out, or start anew")


def _refuse_changed_files(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse data or a net of the user's own that are not what the run in ``path`` was started with."""
    for kind in sorted({*before, *now}):
        if before.get(kind, {}).get("sha256") != now.get(kind, {}).get("sha256"):
            name = (before.get(kind) or now[kind])["file"]
            raise InputError(f"the {kind} {name} is not what {path} was started with: restore it, or start anew")


def _finished(path: Path) -> dict[str, Any] | None:
    """The record of the run in ``path``, if it is finished."""
    record = _record(path)
    if record.get("status") != "finished":
        return None
    record["folder"] = str(path)  # it may have been moved
    return record


def _record(path: Path) -> dict[str, Any]:
    """The record of the run in ``path``; empty if it ended before it wrote one."""
    return records.read(path / RECORD) if (path / RECORD).exists() else {}


class _Run:
    """One run from its plan to its record.

    Args:
        planned: the plan.
        path: of the folder.
        meter: name of the meter, as for `train`.
        callbacks: as for `train`.
        command: as for `train`.
        folder: of the run to go on with; None: a new run makes its folder when it begins.
        extensions: as for `train`.
    """

    def __init__(
        self,
        planned: Plan,
        path: Path,
        meter: str,
        callbacks: Sequence[Any],
        command: str | None,
        folder: ReadOnlyFolder | None = None,
        extensions: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.plan, self.path, self.folder, self.callbacks = planned, path, folder, list(callbacks)
        self.writes, self.previous = world()[0] == 0, _record(path) if folder else {}
        device = torch.device(planned.loop_settings.device)
        if path.exists() and not folder and self.writes:
            raise InputError(f"{path} exists: choose another --out, or go on with --resume {path}")
        if self.previous and self.previous["algo_sha256"] != RULES.source_hash(planned.algo, planned.cls):
            raise InputError(
                f"the rule file {planned.algo} has changed since {path} was started: restore it, or start anew"
            )
        if self.previous:
            _refuse_changed_files(path, self.previous["extensions"].get("files", {}), planned.files)
        saved = folder.load() if folder else None  # a damaged checkpoint shows here, before anything changes
        self.saved, earlier = saved is not None, saved["energy"] if saved else {}
        sync = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else None
        self.meter = meter_for(meter if self.writes else "none", device, sync, earlier)
        kept = {**(extensions or {}), **self.previous.get("extensions", {})}
        self.recorder = Recorder(planned, path, self.meter, earlier, command, folder is not None, self.previous, kept)

    def go(self) -> dict[str, Any]:
        """Train, test and write; returns the record."""
        with contextlib.closing(self.meter):
            self.meter.enter("setup")
            self.plan, data = self.plan.settled(self.plan.load_data())
            self.recorder.plan = self.plan
            if self.previous and self.previous["data"]["sha256"] != (data.spec.sha256 or None):
                raise InputError(f"the data {data.spec.name} is not what {self.path} was started with: give the same")
            settings, callbacks = self.plan.loop_settings, [*self.plan.callbacks(), *self.callbacks]
            with contract.net_fits():
                loop = self.loop = Loop(
                    self.plan.build(),
                    data,
                    settings=settings,
                    meter=self.meter,
                    callbacks=callbacks,
                )
            if settings.init_from and not self.saved:
                self.recorder.extensions["init_from"] = start_from(Path(settings.init_from), loop.trainer)
            self.recorder.begin(loop, data)
            del data  # else the raw examples would stay beside the ones that the loop moves to the device
            folder = loop.folder = self.folder or self._new_folder()
            if isinstance(folder, RunFolder):
                loop.callbacks.append(HistoryFile(folder))
            try:
                return self._train(loop)
            except BaseException as error:
                self._failed(error)
                raise
            finally:
                for callback in self.callbacks:
                    if hasattr(callback, "close"):
                        callback.close()
                folder.close()

    def _new_folder(self) -> ReadOnlyFolder:
        if not self.writes:
            return ReadOnlyFolder(self.path, resume=False)
        return RunFolder(self.path, config=yaml.safe_dump(self.plan.config, sort_keys=False))

    def _train(self, loop: Loop) -> dict[str, Any]:
        recorder = self.recorder
        recorder.write(status="running")
        loop.run()
        status = "stopped" if loop.stop_reason else "finished"
        if loop.stop_reason:
            keep_best_so_far(loop)
        self.meter.enter("predict")
        result, outputs = tested(loop) if status == "finished" else ({}, None)
        self.meter.enter("save")
        recorder.metrics = beside(loop.data.spec, *outputs, self.plan.loop_settings.metric) if outputs else None
        recorder.operations = provenance.operations(loop) if status == "finished" else None
        if self.writes:
            model = safetensors.torch.save(unshared(loop.trainer.state_dict()))
            recorder.model_sha256 = hashlib.sha256(model).hexdigest()
            write_atomically(self.path / MODEL, lambda file: file.write(model))
        self.meter.close()
        return recorder.write(status=status, error=loop.stop_reason or None, **result)

    def _failed(self, error: BaseException) -> None:
        """A run that never took a step leaves nothing; one that did says in its record how it ended."""
        if not self.writes:
            return
        if not self.folder and self.loop.cursor.steps == 0:
            shutil.rmtree(self.path, ignore_errors=True)
        elif isinstance(error, Exception):
            with contextlib.suppress(Exception):  # the first error is the cause: a second one must not hide it
                self.recorder.write(status="failed", error=str(error) or type(error).__name__)
