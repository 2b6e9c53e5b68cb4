"""Gradient noise: backpropagation with clipped gradients and normal noise that falls with the steps.

Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach, Martens, "Adding Gradient Noise Improves Learning for Very Deep
Networks", arXiv 1511.06807. One global loss under plain SGD; the gradient is clipped first:

    g_t <- g_t min(1, 10 / |g_t|) + n_t,   n_t ~ N(0, sigma_t^2),   sigma_t^2 = eta / (1 + t)^gamma,   t = 0, 1, 2, …

A net that begins at zero has no gradient below its top bias; its weights walk at random until a signal passes:

    std(W) = lr sqrt(eta sum_{t<T} (1 + t)^-gamma) ~ lr sqrt(eta T^0.45 / 0.45)   at gamma = 0.55

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
f             ``blocks``, in order    (B, …) -> (B, C), or (B, R, C) of R replicas
eta, gamma    ``noise_eta, _gamma``   settings that any rule takes, as it does ``clip``
============  ======================  ==========

Tasks: classification; regression, by the mean squared error.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; readout ``mean`` of replicas: ``(B, R, C)``; for
regression ``batch.y (B, T)`` -> ``(B, T)``.
``--net replicated-mlp`` trains R nets at once on the same batches. Each has its own loss (the history has their sum),
initial weights, clip and noise; replica 0 is what net mlp becomes under that seed. Readout ``r`` is replica r; the
metric of ``mean`` is the mean of theirs, and validation by it picks the one epoch whose state is kept for all.
Differences from the paper: it does not state batch size, steps, clip type and bias init; here batches
of 128 (in the recipes of 32), steps as set, the norm, and zero (with init he, sussillo_abbott, normal, zero).
Costs: as backpropagation; one normal draw a parameter and step. The history has ``weight_std`` of the middle block. A
replica whose loss stops being finite ends the run of all.
"""

from collections.abc import Hashable, Iterator
from typing import Any

from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional.gradients import walk_std
from bpfree.rules.backprop import LOSSES, Backprop
from bpfree.training.contract import check_classifier
from bpfree.training.trainer import Batch, Local, RuleSettings, Trainer
from bpfree.training.transforms import AnnealedNoise, Transform


@settings
class Settings(RuleSettings):
    readout: str = setting("mean", "of replicated nets: mean (of their accuracies), or the number of one")


class GradientNoise(Backprop):
    """Backpropagation, clip, annealed noise; one net or many side by side."""

    Settings = Settings  # type: ignore[assignment]  # no deep supervision, no checkpointing
    forward_passes = Trainer.forward_passes
    tasks = ("classification", "regression")
    replicated = True
    prefer = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.0, "clip": 10.0, "noise_eta": 0.01}
    on_few_rows = {"lr": 0.03}  # made regressions of 400 rows: R2 is 0.03 higher, made classes as before
    because = {
        ("optimizer", "lr", "momentum"): "the paper's plain gradient descent",
        ("clip", "noise_eta"): "the rule itself: clipped gradients and noise, as in the paper",
    }

    @property
    def readouts(self) -> tuple[str, ...]:
        return ("mean", *map(str, range(self.replicas))) if self.replicas > 1 else ()

    def setup(self) -> None:
        choices = self.readouts or ("mean",)
        if self.settings.readout not in choices:
            raise InputError(f"readout = {self.settings.readout} is not valid: choose from {', '.join(choices)}")
        if self.replicas > 1 and self.settings.centralise:
            raise InputError("centralise does not know replicas: leave it out with --net replicated-mlp")
        if self.replicas == 1:
            check_classifier(self)

    def transforms(self, owner: Hashable) -> list[Transform]:
        transforms = super().transforms(owner)
        self.noise = next((transform for transform in transforms if isinstance(transform, AnnealedNoise)), None)
        return transforms

    def scores(self, batch: Batch) -> Tensor:
        """Class scores ``(B, R, C)``, or numbers ``(B, R, T)``, of every replica."""
        return super().predict(batch).view(len(batch.x), -1, *self.spec.outputs)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        scores = self.scores(batch)
        y = batch.y.repeat_interleave(scores.shape[1], 0)  # of every row, once a replica
        # the sum over replicas of their mean losses: each gets its own gradient and no other
        yield Local(LOSSES[self.spec.task](scores.flatten(0, 1), y) * scores.shape[1], owner="net")

    def predict(self, batch: Batch) -> Tensor:
        scores, readout = self.scores(batch), self.settings.readout
        if scores.shape[1] == 1:
            return scores[:, 0]
        return scores if readout == "mean" else scores[:, int(readout)]

    def diagnostics(self) -> dict[str, Any]:
        """Standard deviation of the weights in the middle block, and what the noise alone would make of zeros."""
        middle = self.blocks[len(self.blocks) // 2]
        weight = next((p for p in middle.parameters() if p.ndim > 1), None)
        if weight is None:
            return {}
        parts = weight.detach().unflatten(0, (self.replicas, -1)).flatten(1)
        spread = {"measured": parts.var(1, correction=0).mean().sqrt().item()}
        options, noise = self.settings, self.noise
        plain = ("sgd", 0, 0, "constant", 0)
        descent = (options.optimizer, options.momentum, options.weight_decay, options.lr_schedule, options.warmup_steps)
        if noise and descent == plain:
            spread["walk"] = walk_std(options.lr, noise.eta, noise.gamma, noise.t)
        return {"weight_std": spread}
