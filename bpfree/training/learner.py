"""One training step: the local losses of a batch, one at a time; backward, step, forget."""

import contextlib
from collections.abc import Callable, Generator, Hashable, Mapping

import torch
from torch import Tensor

from bpfree.errors import Diverged
from bpfree.training import contract
from bpfree.training.batch import Batch, Local
from bpfree.training.checkpoint import Cursor
from bpfree.training.diagnostics import Monitor
from bpfree.training.distributed import in_any_process, world
from bpfree.training.evaluation import Evaluator, autocast
from bpfree.training.external import external_systems, learning
from bpfree.training.owners import Owner
from bpfree.training.protocols import Constrained
from bpfree.training.trainer import Trainer


class Learner:
    """The training steps of one phase.

    Args:
        trainer: the rule.
        owners: by key, with new optimizers.
        evaluator: computes frozen blocks, in the precision of the run.
        monitor: keeps losses and gradient norms.
        observe_every: batches between two looks at gradients, dead units and finite losses.
        cursor: the place that the run has reached.

    Attributes:
        batches: in an epoch.
        prepares: the frozen blocks below run in every step, since their output is not kept.
    """

    batches: int
    prepares: bool

    def __init__(
        self,
        trainer: Trainer,
        owners: Mapping[Hashable, Owner],
        evaluator: Evaluator,
        monitor: Monitor,
        observe_every: int,
        cursor: Cursor,
    ) -> None:
        self.trainer, self.owners, self.evaluator, self.monitor = trainer, owners, evaluator, monitor
        self.observe_every, self.cursor = observe_every, cursor
        self.external = external_systems(trainer)
        self.constrained = [m for m in trainer.modules() if isinstance(m, Constrained)]
        self._overlapped: tuple[Hashable, Callable[[], None]] | None = None

    @property
    def done(self) -> int:
        """Batches of the phase that are done."""
        return self.cursor.epoch * self.batches + self.cursor.batch

    def learn(self, batch: Batch) -> None:
        """Train on one batch: every local loss backward, its owner stepped, its gradients forgotten."""
        with learning(self.external):
            self._learn(batch)

    def _learn(self, batch: Batch) -> None:
        trainer, batch = self.trainer, self.evaluator.cast(batch)
        self.observing = self.cursor.steps % self.observe_every == 0
        if self.observing and self.cursor.steps:
            self.check_finite()
        _, total = batch.span or (0, len(batch.x))
        self.share = (0 if batch.padding else len(batch.x)) / total
        if self.prepares:
            batch = self.evaluator.prepare(batch)
        losses = contract.checked_losses(type(trainer).__name__, trainer.local_losses(batch))
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
                    raise contract.reach_error(key)
                owner.reduce(self.share)()
                self._step(key)
        if self.observing:
            contract.check_strays(trainer.named_parameters())

    def _next(self, losses: Generator[Local, None, None]) -> Local | None:
        """Resume the rule; a context manager that it left open would leak into the loop."""
        rule, evaluator = type(self.trainer).__name__, self.evaluator
        bf16 = evaluator.precision == "bf16"
        with autocast(evaluator.device, evaluator.precision):
            try:
                local = next(losses, None)
            except ValueError as error:
                if contract.LONE_ROW not in str(error):
                    raise
                raise contract.lone_row_error() from error
            leaked = not torch.is_grad_enabled() or torch._C._is_any_autocast_enabled() != bf16
            if leaked:
                losses.close()
        if leaked:
            raise contract.leak_error(rule)
        if local is not None:
            contract.check_local(rule, local, self.owners)
        return local

    def _update(self, loss: Tensor | None, key: Hashable) -> None:
        """Backward of a local loss, and the step of its owner, or the beginning of its reduction."""
        if loss is not None:
            if loss.requires_grad:  # else every parameter of the owner is frozen
                contract.backward(loss, key)
            self.monitor.record_loss(key, loss, self.cursor.steps)
        if key is None or not self.owners[key].params:
            return
        finish = self.owners[key].reduce(self.share)
        self._finish_overlapped()
        if self.trainer.overlap and world()[1] > 1:
            self._overlapped = (key, finish)
        else:
            finish()
            self._step(key)

    def _finish_overlapped(self) -> None:
        """Step the owner whose reduction ran while the next block did."""
        if self._overlapped is not None:
            key, finish = self._overlapped
            self._overlapped = None
            finish()
            self._step(key)

    def _step(self, key: Hashable) -> None:
        owner, phase = self.owners[key], self.trainer.phase
        if self.observing:
            self.monitor.record_gradient(key, owner.grads, self.cursor.steps)
        self.trainer.on_grads(key)
        owner.step((self.cursor.epoch + self.cursor.batch / self.batches) / phase.epochs, self.done)
        for module in self.constrained:  # parameters with a range keep to it under any rule
            module.constrain()
        self.trainer.on_step(key)
        owner.clear()

    def check_finite(self) -> None:
        """Stop a run whose losses, gradients or weights became NaN or infinite, in any process.

        Raises:
            Diverged: with the first of them, and the batch.
        """
        bad = self.monitor.not_finite()
        if bad is None and (which := contract.not_finite(self.trainer)):
            bad = f"{which} became NaN or infinite by step {self.cursor.steps} of the run"
        if any(in_any_process(bad is not None)):
            raise Diverged(f"{bad or 'the loss of another process is not finite'}: stopped; try a smaller --lr")
