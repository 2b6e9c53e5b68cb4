"""The loop: one for every rule. Batches in, local losses out; backward, step, forget."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bpfree.config.notes import tell
from bpfree.config.settings import resolve
from bpfree.errors import InputError
from bpfree.training import checkpoint, contract
from bpfree.training.batch import Batch, Phase
from bpfree.training.blocks import check_types, takes_one_row
from bpfree.training.callbacks import HOOKS
from bpfree.training.checkpoint import Cursor
from bpfree.training.data import Data, Source
from bpfree.training.device import keep_freed, pick_device, reproducible, use_threads
from bpfree.training.diagnostics import Monitor
from bpfree.training.distributed import average_buffers, in_any_process, world
from bpfree.training.early_stopping import EarlyStop
from bpfree.training.evaluation import Evaluator
from bpfree.training.external import external_systems
from bpfree.training.learner import Learner
from bpfree.training.loop_settings import LoopSettings
from bpfree.training.memory import LiveMemory
from bpfree.training.owners import Owner
from bpfree.training.protocols import Annealed
from bpfree.training.random_streams import Streams, derive, global_scope
from bpfree.training.run_folder import NoFolder
from bpfree.training.signals import stop_on_signals
from bpfree.training.trainer import Trainer
from bpfree.training.windows import NoMeter, Windows


class Loop:
    """One training run; `Trainer.fit` makes it and calls `run`.

    Args:
        trainer: the rule.
        data: to train on, validate on and, by others, test on.
        settings: of the loop, ready; None: made of ``options`` and the rule's own defaults.
        folder: keeps the checkpoints (`bpfree.training.run_folder.RunFolder`); None: none are kept.
        meter: an ``energy.Meter``; its windows are setup, train, validate, save.
        callbacks: objects with any of the methods of `bpfree.training.callbacks.Callback`.
        **options: `LoopSettings`.

    Attributes:
        cursor: the place that the run has reached.
        rows: that an epoch trains on.
        history: one entry an epoch.
        learner: the training steps of the phase, with its owners.
        early: the early stop of the phase.
        evaluator: predictions and metrics of the net as it stands.
        external: systems that the net works with and that are no part of it.
        memory: of one training step, in bytes.
        prefixes: by phase, how its input came about: none (it is the data), cached, recomputed.
        limit: the setting that has ended the run, ``max_steps`` or ``max_minutes``; or "".
        stop_reason: in words, when the run ends before its last phase; all processes have the same.

    Raises:
        InputError: data, rule, net and settings do not fit together.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        *,
        settings: LoopSettings | None = None,
        folder: Any = None,
        meter: Any = None,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ):
        contract.check_surroundings()
        self.folder, self.callbacks = folder or NoFolder(), list(callbacks)
        meter = meter or NoMeter()
        contract.check_helpers(self.folder, meter, self.callbacks, HOOKS)
        self.cursor = Cursor()
        self._stop_request = self.stop_reason = ""  # requested in this process; agreed on by all
        self.limit = ""
        self.history: list[dict] = []
        self.windows = Windows(meter, self.cursor)
        self.windows.enter("setup")
        if settings is None:
            (settings,) = resolve([LoopSettings], options, trainer.prefer)
        self.settings, self.trainer, self.rule, self.data = settings, trainer, trainer.settings, data
        use_threads(settings.threads)
        self.device = pick_device(settings.device)
        keep_freed(self.device)
        reproducible(self.device)
        graph = getattr(data.train, "graph", None)
        if graph is not None and graph.fan_out is not None and not trainer.samples:
            raise InputError(f"{type(trainer).__name__} takes all neighbours: leave fan_out out, or use forward-gnn")
        dtype = torch.float64 if settings.precision == "fp64" else torch.float32
        if trainer.blocks is not None:
            check_types(trainer.blocks, settings.precision)
        trainer.build(data.spec, settings.seed)
        trainer.to(self.device, torch.float64 if settings.precision == "fp64" else None)
        trainer.streams = Streams(settings.seed, self.device)
        self.external = external_systems(trainer)
        if settings.compile:
            for block in trainer.blocks:  # not block.compile(), which leaves a Sequential as it is
                block.forward = torch.compile(block.forward)
        self.evaluator = Evaluator(trainer, self.device, settings.precision, settings.eval_batch_size, self.cursor)
        self.monitor, self.memory = Monitor(self.device, dtype), LiveMemory()
        self.prefixes: dict[str, str] = {}
        self.saved_at = time.monotonic()
        schedule = trainer.phases(self.rule.epochs)
        self.phases = contract.checked_phases(type(trainer).__name__, schedule, len(trainer.blocks))
        contract.check_owners(trainer, self.phases)
        self.rows = self._rows_of_a_pass()
        self.enter_phase(self.phases[0])

    @property
    def data_passes(self) -> float:
        """Passes over the training data so far; a cached prefix is filled in one more pass."""
        part = self.cursor.batch / self.batches
        return self.cursor.epochs + part + list(self.prefixes.values()).count("cached")

    @property
    def batches(self) -> int:
        """Batches of a pass over the training data."""
        size = self.rule.batch_size
        return self.data.train.steps(size) if self.rows == len(self.data.train) else -(-self.rows // size)

    @property
    def value(self) -> float | None:
        """The validation metric of the state that is kept: the best so far, or with ``keep=last`` the last."""
        if self.rule.keep == "best":
            return self.early.value
        return self.history[-1]["val"] if self.history else None

    def stop(self, reason: str) -> None:
        """End the run after this batch, with everything saved; ``reason`` goes into the record."""
        self._stop_request = reason

    def learn(self, batch: Batch) -> None:
        """Train on one batch: every local loss backward, its owner stepped, its gradients forgotten."""
        self.learner.learn(batch)

    def evaluate(self, source: Source) -> float:
        """The task's metric on ``source``."""
        return self.evaluator.evaluate(source)

    def scores(self, source: Source) -> tuple[Tensor, Tensor]:
        """Predictions ``(N, …)`` and targets ``(N, …)`` of all rows of ``source``."""
        return self.evaluator.scores(source)

    # The run ----------------------------------------------------------------------------------------------------------

    def run(self) -> list[dict]:
        """Train to the end of the last phase, or until a stop is requested; returns the history."""
        if self.device.type == "meta":
            raise InputError("device meta holds no values: train on cpu or cuda")
        for note in (*self.data.notes, *self.trainer.notes) if world()[0] == 0 else ():
            tell(note)
        self.data = self.data.to(self.device, self.settings.resident_mb)
        seed = derive(self.settings.seed, "dropout", world()[0])
        with global_scope(seed, self.device), stop_on_signals(self.stop):
            saved = self.folder.load()
            if saved:
                checkpoint.restore(self, saved)
            (limited,) = in_any_process(bool(self._limit_reached()))
            self.limit = (self._limit_reached() or "max_minutes") if limited else ""  # resuming does not extend it
            self._call("on_start")
            while self.cursor.phase < len(self.phases) and not self._stopping():
                self._run_phase()
                if self.limit:
                    break
            self._save()
        self._call("on_end")
        self.trainer.eval()
        return self.history

    def enter_phase(self, phase: Phase) -> None:
        """Begin ``phase``: new owners, so a new optimizer for every stage, and a new early stop."""
        trainer, rule = self.trainer, self.rule
        trainer.phase = phase
        trainer.zero_grad()  # of the phase before
        owners = {k: Owner(p, trainer.optim(k), trainer.transforms(k)) for k, p in trainer.owners().items()}
        self.learner = Learner(trainer, owners, self.evaluator, self.monitor, self.settings.observe_every, self.cursor)
        maximize, every = self.data.spec.maximize, self.settings.validate_every
        self.early = EarlyStop(rule.patience, rule.min_delta, maximize, every)
        frozen = {module for block in trainer.blocks[: trainer.first] for module in block.modules()}
        self.modes = [(module, module not in frozen) for module in trainer.modules()]
        rest = {m for k, b in enumerate(trainer.blocks) if k not in phase.blocks for m in b.modules()}
        self.annealed = [m for m in trainer.modules() if isinstance(m, Annealed) and m not in rest]

    def _run_phase(self) -> None:
        cursor, phase = self.cursor, self.trainer.phase
        self.windows.enter("train")  # a frozen prefix that is computed once is part of the training
        with self.memory:
            source = self.prepared_source()
        self._call("on_phase")
        while cursor.epoch < phase.epochs and not self.early.done and not self.limit:
            self._run_epoch(source)
            if self._stopping():
                return
        if self.rule.keep == "best":
            self.early.restore(self.trainer)
        if self.limit:
            return
        cursor.end_phase()
        if cursor.phase < len(self.phases):
            self.enter_phase(self.phases[cursor.phase])

    def prepared_source(self) -> Source:
        """The phase's inputs: computed once when they are fixed and fit into the budget, else batch by batch."""
        trainer, train, evaluator = self.trainer, self.data.train, self.evaluator
        how = "recomputed" if trainer.prepares else "none"
        self.learner.batches = self.batches
        if trainer.prepares and trainer.phase.fixed and train.fixed and not self.external:  # a measurement is not fixed
            budget = self.settings.cache_mb * 2**20
            cached = train.prepared(lambda b: evaluator.prepare(evaluator.cast(b)), evaluator.batch_size, budget)
            if cached is not None:
                train, how = cached, "cached"
        self.learner.prepares, self.prefixes[trainer.phase.name] = how == "recomputed", how
        return train

    def _run_epoch(self, source: Source) -> None:
        trainer, cursor, streams = self.trainer, self.cursor, self.trainer.streams
        drawn: dict[str, Any] = {}
        if not source.whole:
            order = torch.randperm(len(source), generator=streams.fresh("order", cursor.epochs))
            drawn["order"] = order[: self.rows]
            drawn["rng"] = streams.fresh("augmentation", cursor.epochs)
        batches = source.batches(self.rule.batch_size, start=cursor.batch, shard=world(), **drawn)
        self.windows.enter("train")
        self.training_mode()
        if cursor.batch == 0:
            trainer.on_pass()
        with contextlib.closing(batches):
            for batch in batches:
                with self._counting_memory():
                    self.learn(batch)
                cursor.batch += 1
                cursor.steps += 1
                self._call("on_batch")
                old = time.monotonic() - self.saved_at > self.settings.checkpoint_every
                limit = self._limit_reached()
                requested, old, limited = in_any_process(bool(self._stop_request), old, bool(limit))
                if limited:  # before a stop: the state at the limit is validated whatever else happens
                    self.limit = limit or "max_minutes"
                    break
                if self._stopping(requested):
                    return
                if old:
                    self._save()
                    self.windows.enter("train")
        with self.memory if cursor.epoch == 0 else contextlib.nullcontext():
            trainer.on_epoch()
        for module in self.annealed:  # nets that change with the epochs do so under any rule
            module.anneal(trainer.phase.epochs)
        average_buffers(trainer)
        if not self.limit or cursor.batch == self.learner.batches:  # else the limit has ended the pass early
            cursor.end_epoch()
        if cursor.epoch % self.settings.validate_every and cursor.epoch < trainer.phase.epochs and not self.limit:
            return
        self._validate()

    def _counting_memory(self) -> contextlib.AbstractContextManager:
        """Count the storages of the second step of every phase.

        The first one makes the optimizer's state, which is no working memory, and all later ones are like the second.
        """
        return self.memory if self.learner.done == 1 else contextlib.nullcontext()

    def _validate(self) -> None:
        """End an epoch: the validation metric, the early stop and an entry of the history."""
        trainer, cursor = self.trainer, self.cursor
        self.learner.check_finite()
        self.windows.enter("validate")
        value = self.evaluate(self.data.val)
        epoch = cursor.epochs + bool(cursor.batch)
        self.early.update(value, epoch, trainer)
        entry = {"epoch": epoch, "phase": trainer.phase.name, "val": value, "best": self.early.value}
        spent = {**self.monitor.summary(), "train_s": cursor.train_s, "train_j": self.windows.train_j()}
        figures = contract.checked_diagnostics(type(trainer).__name__, trainer.diagnostics(), [*entry, *spent])
        self.history.append({**entry, **figures, **spent})
        self._call("on_epoch")

    def _rows_of_a_pass(self) -> int:
        """Rows that an epoch trains on: all, or only those in full batches (`RuleSettings.last_batch`)."""
        trainer, train, how = self.trainer, self.data.train, self.rule.last_batch
        rest = len(train) % self.rule.batch_size
        if how == "keep" or not rest or rest == len(train) or train.whole or not train.ordered:
            return len(train)
        if how == "auto" and (rest > 1 or takes_one_row(trainer.blocks, trainer.net_spec(self.data.spec).shape)):
            return len(train)
        why = "one row cannot be normalised" if how == "auto" else "last_batch = drop"
        trainer.notes.append(f"every epoch leaves out {rest} of {len(train)} rows, each time others: {why}")
        return len(train) - rest

    # Small things -----------------------------------------------------------------------------------------------------

    def training_mode(self) -> None:
        """Training mode for what trains, evaluation mode for the frozen blocks."""
        for module, trains in self.modes:
            if module.training != trains:  # setting an attribute of a module is slow
                module.training = trains

    def _save(self) -> None:
        self.learner.check_finite()
        self.windows.enter("save")
        self.folder.save(checkpoint.state_of(self))
        self.saved_at = time.monotonic()

    def _stopping(self, requested: bool | None = None) -> bool:
        """True when the run is to end: a signal may reach one process only, and all stop after the same batch.

        Args:
            requested: some process requests a stop, where all know it already.
        """
        if requested is None:
            (requested,) = in_any_process(bool(self._stop_request))
        if requested:
            self.stop_reason = self._stop_request or "another process was stopped"
        return bool(self.stop_reason)

    def _limit_reached(self) -> str:
        """The setting whose limit the run has reached, or ""."""
        steps, minutes = self.settings.max_steps, self.settings.max_minutes
        if steps is not None and self.cursor.steps >= steps:
            return "max_steps"
        return "max_minutes" if minutes is not None and self.windows.train_s() >= 60 * minutes else ""

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            if hasattr(callback, hook):
                getattr(callback, hook)(self)
