"""The loop: one for every rule. Batches in, local losses out; backward, step, forget."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from bpfree.config.settings import resolve, setting, settings
from bpfree.data import as_data
from bpfree.errors import Diverged, InputError
from bpfree.functional.metrics import METRICS
from bpfree.training import contract
from bpfree.training.callbacks import Probe
from bpfree.training.checkpoint import Cursor, NoFolder
from bpfree.training.device import keep_freed, pick_device, reproducible, use_threads
from bpfree.training.diagnostics import EarlyStop, Monitor
from bpfree.training.evaluation import Precision, autocast, evaluating, in_precision, without_targets
from bpfree.training.external import outside
from bpfree.training.memory import LiveMemory
from bpfree.training.owners import Owner, world
from bpfree.training.random_streams import Streams, derive, global_scope
from bpfree.training.signals import stop_on_signals
from bpfree.training.trainer import Batch, Local, Phase, Trainer

if TYPE_CHECKING:
    from bpfree.training.data import Source


@settings
class LoopSettings:
    """How a run goes, whatever the rule."""

    seed: int = setting(0, "seed of everything random", ge=0, lt=2**63)
    device: str = setting("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, …")
    precision: Precision = setting(
        "fp32", "bf16: products in bfloat16, parameters in fp32; slow on a CPU without AMX or AVX512-BF16"
    )
    threads: int | None = setting(None, "CPU threads; none: torch's own choice", ge=1)
    compile: bool = setting(False, "compile every block in place")
    validate_every: int = setting(1, "epochs between two validations; the last of a phase has one too", ge=1)
    eval_batch_size: int = setting(1000, "samples in a batch of validation and prediction", ge=1)
    resident_mb: int = setting(4096, "a split no larger than this stays on the device", unit="MB", ge=0)
    cache_mb: int = setting(4096, "inputs of a frozen prefix are computed once if they fit into this", unit="MB", ge=0)
    checkpoint_every: float = setting(60.0, "write a checkpoint when the last is older than this", unit="s", ge=0)
    observe_every: int = setting(50, "batches between two looks at gradients, dead units and finite losses", ge=1)
    max_steps: int | None = setting(None, "end the run after this many batches, as an early stop would", ge=1)
    max_minutes: float | None = setting(
        None, "end the run after this much training, validation not counted", unit="min", gt=0
    )
    probe: bool = setting(False, "fit a linear readout on every block after each epoch and record its accuracy")


class NoMeter:
    """The meter of a run that nobody asked to measure."""

    def enter(self, name: str) -> None:
        """Nothing is read."""

    def readings(self) -> dict:
        return {}


class Loop:
    """One training run; `Trainer.fit` makes it and calls `run`.

    Args:
        trainer: the rule.
        data: whatever `bpfree.data.as_data` takes.
        folder: where checkpoints go (`bpfree.training.checkpoint.RunFolder`).
        meter: an ``energy.Meter``; its windows are setup, train, validate, save.
        callbacks: objects with any of the methods of `bpfree.training.callbacks.Callback`.
        **options: `LoopSettings`.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Any,
        *,
        folder: Any = None,
        meter: Any = None,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ):
        contract.surroundings()
        self.folder, self.meter, self.callbacks = folder or NoFolder(), meter or NoMeter(), list(callbacks)
        contract.helpers(self.folder, self.meter, self.callbacks)
        self.cursor = Cursor()
        self._stop_request = self.stop_reason = ""  # asked for here; agreed on by all processes
        self.limit = ""  # the setting, max_steps or max_minutes, that has ended the run
        self.history: list[dict] = []
        self._window = ("", 0.0)
        self._enter("setup")
        (self.settings,) = resolve([LoopSettings], options, trainer.prefer)
        use_threads(self.settings.threads)
        if self.settings.probe:
            self.callbacks.insert(0, Probe())
        self.device = pick_device(self.settings.device)
        keep_freed(self.device)
        reproducible(self.device)
        self.data = as_data(data, seed=self.settings.seed)
        if self.settings.probe and self.data.spec.task != "classification":
            raise InputError(f"probe reads classes out of the blocks: leave it out for {self.data.spec.task}")
        graph = getattr(self.data.train, "graph", None)
        if graph is not None and graph.fan_out is not None and not trainer.samples:
            raise InputError(f"{type(trainer).__name__} takes all neighbours: leave fan_out out, or use forward-gnn")
        self.trainer, self.rule = trainer, trainer.settings
        trainer.build(self.data.spec, self.settings.seed)
        trainer.to(self.device, torch.float64 if self.settings.precision == "fp64" else None)
        trainer.streams = Streams(self.settings.seed, self.device)
        self.outside = outside(trainer)
        if self.settings.compile:
            for block in trainer.blocks:  # not block.compile(), which leaves a Sequential as it is
                block.forward = torch.compile(block.forward)
        self.bf16 = self.settings.precision == "bf16"
        self.monitor = Monitor(self.device, torch.float64 if self.settings.precision == "fp64" else torch.float32)
        self.live = LiveMemory()
        self.prefixes: dict[str, str] = {}  # how the input of each phase came about: none, cached, recomputed
        self._overlapped: tuple[Hashable, Callable[[], None]] | None = None
        self.saved_at = time.monotonic()
        self.phases = contract.phases(trainer, trainer.phases(self.rule.epochs))
        contract.orphans(trainer, self.phases)
        self._enter_phase(self.phases[0])

    @property
    def data_passes(self) -> float:
        """Passes over the training data so far; a cached prefix is filled in a pass of its own."""
        part = self.cursor.batch / self.data.train.steps(self.rule.batch_size)
        return self.cursor.epochs + part + list(self.prefixes.values()).count("cached")

    @property
    def value(self) -> float | None:
        """The validation metric of the state that is kept: the best so far, or with ``keep=last`` the last."""
        if self.rule.keep == "best":
            return self.early.value
        return self.history[-1]["val"] if self.history else None

    def _enter_phase(self, phase: Phase) -> None:
        """Fresh owners, so a fresh optimizer for every stage, and a fresh early stop."""
        trainer = self.trainer
        trainer.phase = phase
        trainer.zero_grad()  # of whatever came before
        self.owners = {k: Owner(p, trainer.optim(k), trainer.transforms(k)) for k, p in trainer.owners().items()}
        self.early = EarlyStop(
            self.rule.patience, self.rule.min_delta, self.data.spec.maximize, self.settings.validate_every
        )
        frozen = {module for block in trainer.blocks[: trainer.first] for module in block.modules()}
        self.modes = [(module, module not in frozen) for module in trainer.modules()]
        rest = {m for k, b in enumerate(trainer.blocks) if k not in phase.blocks for m in b.modules()}
        self.annealed = [m for m in trainer.modules() if hasattr(m, "anneal") and m not in rest]
        self.constrained = [m for m in trainer.modules() if hasattr(m, "constrain")]

    def stop(self, reason: str) -> None:
        """Ask the run to end after this batch, with everything saved."""
        self._stop_request = reason

    # The run ----------------------------------------------------------------------------------------------------------

    def run(self) -> list[dict]:
        """Train to the end of the last phase, or until asked to stop; returns the history, one entry an epoch."""
        if self.device.type == "meta":
            raise InputError("device meta holds no values: train on cpu or cuda")
        self.data = self.data.to(self.device, self.settings.resident_mb)
        seed = derive(self.settings.seed, "dropout", world()[0])
        with global_scope(seed, self.device), stop_on_signals(self.stop):
            saved = self.folder.load()
            if saved:
                self.load_state_dict(saved)
            (limited,) = self._in_any_process(bool(self._limit_reached()))
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

    def _run_phase(self) -> None:
        cursor, phase = self.cursor, self.trainer.phase
        self._enter("train")  # a frozen prefix that is computed once is part of the training
        with self.live:
            source = self._prepared_source()
        self._call("on_phase")
        while cursor.epoch < phase.epochs and not self.early.done and not self.limit:
            self._run_epoch(source)
            if self._stopping():
                return
        if self.rule.keep == "best":
            self.early.restore(self.trainer)
        if self.limit:
            return
        cursor.phase, cursor.epoch = cursor.phase + 1, 0
        if cursor.phase < len(self.phases):
            self._enter_phase(self.phases[cursor.phase])

    def _run_epoch(self, source: "Source") -> None:
        trainer, cursor, streams = self.trainer, self.cursor, self.trainer.streams
        drawn: dict[str, Any] = {}
        if not source.whole:
            drawn["order"] = torch.randperm(len(source), generator=streams.fresh("order", cursor.epochs))
            drawn["rng"] = streams.fresh("augmentation", cursor.epochs)
        batches = source.batches(self.rule.batch_size, start=cursor.batch, shard=world(), **drawn)
        self._enter("train")
        self._training_mode()
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
                asked, old, limited = self._in_any_process(bool(self._stop_request), old, bool(limit))
                if limited:  # before a stop: the state at the limit is validated whatever else happens
                    self.limit = limit or "max_minutes"
                    break
                if self._stopping(asked):
                    return
                if old:
                    self._save()
                    self._enter("train")
        with self.live if cursor.epoch == 0 else contextlib.nullcontext():
            trainer.on_epoch()
        for module in self.annealed:  # nets that change with the epochs do so under any rule
            module.anneal(trainer.phase.epochs)  # type: ignore[operator]
        self._share_buffers()
        if not self.limit or cursor.batch == self.batches:  # else the limit has ended the pass early
            cursor.epoch, cursor.epochs, cursor.batch = cursor.epoch + 1, cursor.epochs + 1, 0
        if cursor.epoch % self.settings.validate_every and cursor.epoch < trainer.phase.epochs and not self.limit:
            return
        self._check_finite()
        self._enter("validate")
        value = self.evaluate(self.data.val)
        epoch = cursor.epochs + bool(cursor.batch)
        self.early.update(value, epoch, trainer)
        entry = {"epoch": epoch, "phase": trainer.phase.name, "val": value, "best": self.early.value}
        spent = {**self.monitor.summary(), "train_s": cursor.train_s, "train_j": self._train_j()}
        self.history.append({**entry, **contract.diagnostics(trainer, [*entry, *spent]), **spent})
        self._call("on_epoch")

    def _counting_memory(self) -> contextlib.AbstractContextManager:
        """Counts the storages of the second step of every phase: the first one makes the optimizer's state, which is no
        working memory, and all later ones are like the second."""
        return self.live if self.cursor.epoch * self.batches + self.cursor.batch == 1 else contextlib.nullcontext()

    # One batch --------------------------------------------------------------------------------------------------------

    def learn(self, batch: Batch) -> None:
        """One batch through the rule: every local loss backward, its owner stepped, its gradients forgotten."""
        for thing in self.outside:
            thing.learning = True
        try:
            self._learn(batch)
        finally:
            for thing in self.outside:
                thing.learning = False
                thing.tick()

    def _learn(self, batch: Batch) -> None:
        trainer, batch = self.trainer, self.cast(batch)
        self.observing = self.cursor.steps % self.settings.observe_every == 0
        if self.observing and self.cursor.steps:
            self._check_finite()
        _, total = batch.span or (0, len(batch.x))
        self.share = (0 if batch.padding else len(batch.x)) / total
        if not self.prepared:
            batch = self._prepare(batch)
        losses = contract.losses(trainer, trainer.local_losses(batch))
        with contextlib.closing(losses), self.monitor.watching(trainer.active if self.observing else ()):
            shared = False
            while (local := self._next(losses)) is not None:
                shared |= local.owner is None
                self._update(*local)
                del local
        self._finish_overlapped()
        for key, owner in self.owners.items():
            if owner.grads:
                if not shared:
                    raise contract.reached(key)
                owner.reduce(self.share)()
                self._step(key)
        if self.observing:
            contract.strays(trainer.named_parameters())

    def _next(self, losses: Generator[Local, None, None]) -> Local | None:
        """Resume the rule; a context manager that it left open would leak into the loop."""
        with autocast(self.device, self.settings.precision):
            local = next(losses, None)
            leaked = not torch.is_grad_enabled() or torch._C._is_any_autocast_enabled() != self.bf16
            if leaked:
                losses.close()
        if leaked:
            raise contract.leaked(self.trainer)
        if local is not None:
            contract.local(self.trainer, local, self.owners)
        return local

    def _update(self, loss: Tensor | None, key: Hashable) -> None:
        if loss is not None:
            contract.backward(loss, key)
            self.monitor.record_loss(key, loss, self.cursor.batch)
        if key is None:
            return
        finish = self.owners[key].reduce(self.share)
        self._finish_overlapped()
        if self.trainer.overlap and world()[1] > 1:
            self._overlapped = (key, finish)
        else:
            finish()
            self._step(key)

    def _finish_overlapped(self) -> None:
        if self._overlapped is not None:
            key, finish = self._overlapped
            self._overlapped = None
            finish()
            self._step(key)

    def _step(self, key: Hashable) -> None:
        owner, phase = self.owners[key], self.trainer.phase
        if self.observing:
            self.monitor.record_gradient(key, owner.grads, self.cursor.batch)
        self.trainer.on_grads(key)
        done = self.cursor.epoch * self.batches + self.cursor.batch
        owner.step((self.cursor.epoch + self.cursor.batch / self.batches) / phase.epochs, done)
        for module in self.constrained:  # parameters with a range keep to it under any rule
            module.constrain()  # type: ignore[operator]
        self.trainer.on_step(key)
        owner.clear()

    # Evaluation -------------------------------------------------------------------------------------------------------

    def evaluate(self, source: "Source") -> float:
        """The task's metric on ``source``; every process evaluates all of it and takes the first one's word."""
        value = METRICS[self.data.spec.metric](*self.scores(source)).cpu()
        if world()[1] > 1:
            dist.broadcast(value, 0)
        return value.item()

    def scores(self, source: "Source") -> tuple[Tensor, Tensor]:
        """What the net says ``(N, …)`` and what is true ``(N, …)``."""
        with self.evaluating():
            pairs = [(self.predict(batch), batch.y) for batch in source.batches(self.settings.eval_batch_size)]
        scores, targets = (torch.cat(part) for part in zip(*pairs, strict=True))
        if scores.isnan().any():
            raise Diverged(f"predictions hold NaN after {self.cursor.steps} steps of the run: try a smaller --lr")
        return scores, targets

    def evaluating(self) -> contextlib.AbstractContextManager:
        """Inside, the trainer may be asked for predictions: `evaluating`, as this run is set."""
        return evaluating(self.trainer, self.device, self.settings.precision)

    def cast(self, batch: Batch) -> Batch:
        """The batch in the precision of the run."""
        return in_precision(batch, self.settings.precision)

    def predict(self, batch: Batch) -> Tensor:
        """What the rule says of a batch whose answers it does not get."""
        found = self.trainer.predict(without_targets(batch, self.settings.precision))
        return contract.scores(self.trainer, found, batch, self.data.spec).float()

    def counted(self, source: "Source") -> Iterator[tuple[int, dict[str, float]]]:
        """Rows of every batch of ``source`` and what a prediction of one does (`Trainer.operations`)."""
        for batch in source.batches(self.settings.eval_batch_size):
            with self.evaluating():
                counts = self.trainer.operations(self.cast(batch))
            yield len(batch.x), counts

    def _prepare(self, batch: Batch) -> Batch:
        with self.evaluating():
            return self.trainer.prepare(batch)

    def _prepared_source(self) -> "Source":
        """The phase's inputs: computed once when they are fixed and fit into the budget, else batch by batch."""
        trainer, train = self.trainer, self.data.train
        self.batches = train.steps(self.rule.batch_size)
        self.prepared, how = not trainer.prepares, "recomputed" if trainer.prepares else "none"
        if trainer.prepares and trainer.phase.fixed and train.fixed and not self.outside:  # what is measured never is
            budget = self.settings.cache_mb * 2**20
            found = train.prepared(lambda b: self._prepare(self.cast(b)), self.settings.eval_batch_size, budget)
            if found is not None:
                train, self.prepared, how = found, True, "cached"
        self.prefixes[trainer.phase.name] = how
        return train

    # State ------------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Everything that a run needs to go on as if it had never stopped."""
        return {
            "cursor": dataclasses.asdict(self.cursor),
            "model": self.trainer.state_dict(),
            "owners": [owner.state_dict() for owner in self.owners.values()],
            "processes": self._of_all_processes(),
            "outside": [thing.state_dict() for thing in self.outside],
            "early": self.early.state_dict(),
            "monitor": self.monitor.state_dict(),
            "history": self.history,
            "prefixes": self.prefixes,
            "energy": self.meter.readings(),
        }

    def _of_all_processes(self) -> list[dict]:
        """What differs between processes: random state, and running statistics within an epoch."""
        buffers = {name: buffer.cpu() for name, buffer in self.trainer.named_buffers()}  # no rank touches another's GPU
        own = {"streams": self.trainer.streams.state_dict(), "buffers": buffers}
        if world()[1] == 1:
            return [own]
        found: list[dict] = [{}] * world()[1]
        dist.all_gather_object(found, own)
        return found

    def load_state_dict(self, state: dict) -> None:
        self.cursor = Cursor(**state["cursor"])
        self._enter_phase(self.phases[min(self.cursor.phase, len(self.phases) - 1)])
        self.trainer.load_state_dict(state["model"])
        for owner, saved in zip(self.owners.values(), state["owners"], strict=True):
            owner.load_state_dict(saved)
        if len(state["processes"]) != world()[1]:
            raise InputError(
                f"this run had {len(state['processes'])} processes, not {world()[1]}: resume it with as many"
            )
        own = state["processes"][world()[0]]
        self.trainer.load_state_dict(own["buffers"], strict=False)
        self.trainer.streams.load_state_dict(own["streams"])
        for thing, saved in zip(self.outside, state["outside"], strict=True):
            thing.load_state_dict(saved)
        self.early.load_state_dict(state["early"])
        self.monitor.load_state_dict(state["monitor"])
        if self.trainer.phase.restart:
            self.cursor.steps, self.cursor.batch = self.cursor.steps - self.cursor.batch, 0
            self.monitor.keys.clear()  # nothing but this pass: an epoch ends with its summary
        self.history, self.prefixes = state["history"], state["prefixes"]

    def _save(self) -> None:
        self._check_finite()
        self._enter("save")
        self.folder.save(self.state_dict())
        self.saved_at = time.monotonic()

    # Small things -----------------------------------------------------------------------------------------------------

    def _enter(self, window: str) -> None:
        """Whatever comes next belongs to ``window``."""
        if window == self._window[0]:
            return
        self.meter.enter(window)
        now = time.perf_counter()
        if self._window[0] == "train":
            self.cursor.train_s += now - self._window[1]
        self._window = (window, now)

    def _limit_reached(self) -> str:
        """The setting whose limit the run has reached, or ""."""
        steps, minutes = self.settings.max_steps, self.settings.max_minutes
        if steps is not None and self.cursor.steps >= steps:
            return "max_steps"
        running_s = time.perf_counter() - self._window[1] if self._window[0] == "train" else 0.0
        return "max_minutes" if minutes is not None and self.cursor.train_s + running_s >= 60 * minutes else ""

    def _train_j(self) -> dict[str, float | None]:
        """Joules of each component in the training windows so far: what the energy-to-accuracy curve is drawn from."""
        train = self.meter.readings().get("train", {"components": {}})
        return {name: part["energy_j"] for name, part in train["components"].items()}

    def _check_finite(self) -> None:
        bad = self.monitor.not_finite()
        if bad is None and (which := contract.not_finite(self.trainer)):
            bad = f"{which} became NaN or infinite by step {self.cursor.steps} of the run"
        if any(self._in_any_process(bad is not None)):
            raise Diverged(f"{bad or 'the loss of another process is not finite'}: stopped; try a smaller --lr")

    def _stopping(self, asked: bool | None = None) -> bool:
        """Whether to stop: a signal may reach one process only, at any moment, and all stop after the same batch.

        ``asked``: whether any process was, where all know it already.
        """
        if asked is None:
            (asked,) = self._in_any_process(bool(self._stop_request))
        if asked:
            self.stop_reason = self._stop_request or "another process was stopped"
        return bool(self.stop_reason)

    def _in_any_process(self, *flags: bool) -> list[bool]:
        """Each flag, raised if any process raises it."""
        if world()[1] == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.float32)  # on the CPU: nobody waits for a GPU
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return raised.bool().tolist()

    def _share_buffers(self) -> None:
        """Running statistics are averaged over the processes, so that all validate and keep the same net."""
        if world()[1] > 1:
            for buffer in self.trainer.buffers():
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer /= world()[1]

    def _training_mode(self) -> None:
        """Training mode for what trains, evaluation mode for the frozen blocks."""
        for module, trains in self.modes:
            if module.training != trains:  # setting an attribute of a module is slow
                module.training = trains

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            if hasattr(callback, hook):
                getattr(callback, hook)(self)
