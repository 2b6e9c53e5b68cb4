"""The record of a run, assembled and written: its provenance when it begins, its state at every write."""

import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bpfree.rules import RULES
from bpfree.runs import provenance
from bpfree.runs import record as records
from bpfree.runs.plan import Plan
from bpfree.training.data import Data
from bpfree.training.distributed import world
from bpfree.training.loop import Loop
from bpfree.training.run_folder import RECORD
from energy import Meter


class Recorder:
    """One run's record.

    Args:
        plan: of the run.
        path: its folder.
        meter: of its energy.
        earlier: readings of the meter before the run was resumed, by window.
        command: typed by the user, or None.
        resume: the run goes on from a checkpoint.
        previous: the record as it was before; empty for a new run.
        extensions: facts beside the schema, by name.
    """

    def __init__(
        self,
        plan: Plan,
        path: Path,
        meter: Meter,
        earlier: Mapping[str, Any],
        command: str | None,
        resume: bool,
        previous: Mapping[str, Any],
        extensions: dict[str, Any],
    ) -> None:
        self.plan, self.path, self.meter = plan, path, meter
        self.command, self.resume, self.previous, self.extensions = command, resume, previous, extensions
        self.operations: dict[str, Any] | None = None
        self.metrics: dict[str, Any] | None = None
        self.model_sha256: str | None = None
        self.began_s = time.perf_counter()
        self.peak_memory = provenance.watch_memory(torch.device(plan.loop_settings.device))
        recorded_s = previous.get("time", {}).get("wall_s", 0.0)  # none by a run that was killed
        self.before_s = max(recorded_s, sum(window["seconds"] for window in earlier.values()))

    def begin(self, loop: Loop, data: Data) -> None:
        """Take down all that is known when the run begins.

        Args:
            loop: that was made for the run.
            data: as they were loaded.
        """
        plan, trainer = self.plan, loop.trainer
        seed, config = plan.loop_settings.seed, plan.config
        self.loop, self.files = loop, plan.files
        self.facts = {
            "schema": records.SCHEMA,
            "command": self.command,
            "config": config,
            "config_sha256": provenance.sha256_of(config),
            "algo": plan.algo,
            "algo_sha256": RULES.source_hash(plan.algo, plan.cls),
            "git": provenance.git(),
            "data": provenance.data(data),
            "seed": seed,
            "seeds": provenance.seeds(seed, getattr(plan.data_settings, "split_seed", None)),
            "started": self.previous.get("started") or now(),
            "device": provenance.device(loop.device),
            "versions": provenance.versions(),
            "threads": torch.get_num_threads(),
            "parameters": provenance.parameters(loop),
            "forwards": dict(zip(("step", "prediction"), trainer.forward_passes, strict=True)),
            "resumes": self.previous.get("resumes", 0) + 1 if self.resume else 0,
        }
        rows, batch_size = len(data.train), loop.rule.batch_size
        self.origin = {  # two runs must share these to be compared: net and data, initial weights, order of the data
            "net_key": plan.net_key(data.spec),
            "init_sha256": [provenance.weights_sha256(block) for block in trainer.blocks],
            "order_sha256": provenance.order_sha256(seed, rows, batch_size) if data.train.ordered else None,
        }

    def write(self, status: str, error: str | None = None, **result: Any) -> dict[str, Any]:
        """Write the record as the run now stands to ``run.json``, in the first process.

        Args:
            status: ``running``, ``finished``, ``stopped`` or ``failed``.
            error: why it did not finish.
            **result: the metric on the test part, and what belongs to it.

        Returns:
            The record as written.
        """
        loop, spec, cursor = self.loop, self.loop.data.spec, self.loop.cursor
        (peak, method), earlier = self.peak_memory(), self.previous.get("memory") or {}
        wall_s = time.perf_counter() - self.began_s + self.before_s
        readings = self.meter.readings()
        notes = {"data": list(loop.data.notes), "net": list(loop.trainer.notes)}
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
                "live_bytes": max(loop.memory.peak, earlier.get("live_bytes") or 0) or None,
                "peak_bytes": None if peak is None else max(peak, earlier.get("peak_bytes") or 0),
                "method": method,
            },
            "energy": {name: provenance.energy(reading, loop.external) for name, reading in readings.items()},
            "meter": self.meter.describe(),
            "history": loop.history,
            "folder": str(self.path),
            "processes": world()[1],
            "batch_separable": loop.trainer.batch_separable,
            "phases": {phase.name: phase.epochs for phase in loop.phases},
            "phase": loop.phases.index(loop.trainer.phase),
            "limit": loop.limit or None,
            "prefixes": loop.prefixes,
            "operations": self.operations,
            "external_systems": [system.report() for system in loop.external],
            "model_sha256": self.model_sha256,
            "extensions": {
                **self.extensions,
                "notes": notes,
                "provenance": {"rooms_sha256": provenance.rooms_sha256()},
                **({"files": self.files} if self.files else {}),
                **({"metrics": self.metrics} if self.metrics else {}),
            },
            **self.origin,
        }
        if world()[0] > 0:
            return records.validated(record)
        return records.write(record, self.path / RECORD)


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
