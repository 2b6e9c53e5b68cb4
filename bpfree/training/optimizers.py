"""Optimizers and the schedules of their learning rates."""

import math
from typing import Literal

import torch
from torch import nn

from bpfree.config.settings import setting, settings

Schedule = Literal["constant", "cosine", "half-linear", "steps", "one-cycle"]


@settings
class OptimSettings:
    """The optimizer of one owner's parameters, and the transforms of their gradients."""

    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = setting("adam", "optimizer", search=("adam", "sgd"))
    lr: float = setting(1e-3, "learning rate", gt=0, search=(1e-4, 1e-1, "log"))
    momentum: float = setting(0.9, "momentum of sgd and rmsprop", ge=0, lt=1)
    weight_decay: float = setting(
        0.0, "weight decay of matrices and kernels; biases have none", ge=0, search=(1e-6, 1e-2, "log")
    )
    lr_schedule: Schedule = setting(
        "cosine",
        "learning rate over a phase: half-linear is constant to half of it, then falls linearly to zero; steps: a "
        "quarter of it after 1/2, 3/4, 7/8 and 15/16; one-cycle: up from 1/25 to all of it at 0.3, then down to 4e-6",
    )
    warmup_steps: int = setting(
        0, "the learning rate rises linearly over the first batches of a phase", unit="batches", ge=0
    )
    centralise: bool = setting(False, "take the mean over the fan-in from the gradient of matrices and kernels")
    clip: float | None = setting(None, "clip the norm of an owner's gradient to this", gt=0)
    noise_eta: float | None = setting(
        None, "add normal noise of variance eta / (1 + t)^gamma to the gradient at step t of a phase", gt=0
    )
    noise_gamma: float = setting(0.55, "gamma of the gradient noise; 0: it does not fall", ge=0, lt=1)


def lr_factor(schedule: str, progress: float) -> float:
    """Share of the base learning rate at ``progress`` in [0, 1] of a phase, by the ``schedule`` of `OptimSettings`."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "half-linear":
        return min(1.0, 2 * (1 - progress))
    if schedule == "one-cycle":  # torch's OneCycleLR with its defaults: 30 % up, from 1/25, down to 1/10,000 of that
        low, done = (1 / 25, 1 - progress / 0.3) if progress < 0.3 else (1 / 250_000, (progress - 0.3) / 0.7)
        return low + (1 - low) * lr_factor("cosine", done)
    if schedule == "steps":
        return 0.25 ** sum(progress >= at for at in (1 / 2, 3 / 4, 7 / 8, 15 / 16))
    return 1.0


def warmup_factor(steps: int, done: int) -> float:
    """Share of the scheduled rate in a batch that ``done`` others of the phase precede: (done + 1) / steps or 1."""
    return min(1.0, (done + 1) / steps) if steps else 1.0


def make_optimizer(params: list[nn.Parameter], optim: OptimSettings) -> torch.optim.Optimizer:
    """The optimizer that steps ``params``; biases and other vectors do not decay.

    Args:
        params: that it steps.
        optim: its settings.
    """
    groups = [
        {"params": [p for p in params if p.ndim > 1], "weight_decay": optim.weight_decay},
        {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = {"fused": True} if all(p.device.type in ("cpu", "cuda") for p in params) else {}
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, optim.lr, momentum=optim.momentum, **fused)
    if optim.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, optim.lr, momentum=optim.momentum)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optim.optimizer](groups, optim.lr, **fused)
