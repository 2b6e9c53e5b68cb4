"""Owners: the parameters that a local loss steps, with an optimizer, a learning-rate schedule, gradient transforms."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.training.distributed import reduce_gradients

Schedule = Literal["constant", "cosine", "half-linear", "steps", "one-cycle"]


class Transform(Protocol):
    """A change of the gradients of one owner, in place."""

    def __call__(self, grads: Sequence[Tensor], /) -> None: ...


@runtime_checkable
class Stateful(Protocol):
    """A transform whose state a checkpoint keeps."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...


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


class Owner:
    """The parameters that step together.

    Args:
        params: trained by this owner; those that need no gradient are left out.
        optim: settings of the optimizer.
        transforms: change the gradients in place, in this order, after reduction and before the optimizer.
    """

    def __init__(self, params: Iterable[nn.Parameter], optim: OptimSettings, transforms: Sequence[Transform] = ()):
        self.params = [p for p in params if p.requires_grad]
        self.optim, self.transforms = optim, transforms
        self.optimizer = _optimizer(self.params, optim)

    @property
    def grads(self) -> list[Tensor]:
        """Gradients of the parameters that have one."""
        return [p.grad for p in self.params if p.grad is not None]

    def reduce(self, share: float) -> Callable[[], None]:
        """Start the sum of its gradients over processes; see `reduce_gradients`."""
        return reduce_gradients(self.params, share)

    def step(self, progress: float, done: int = 0) -> None:
        """Transforms, then one optimizer step.

        Args:
            progress: in [0, 1] of the phase, for the schedule of the learning rate.
            done: batches of the phase before this one, for its warm-up.
        """
        grads = self.grads
        for transform in self.transforms:
            transform(grads)
        factor = lr_factor(self.optim.lr_schedule, progress) * warmup_factor(self.optim.warmup_steps, done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * factor
        self.optimizer.step()

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict:
        return {
            "optimizer": self.optimizer.state_dict(),
            "transforms": [t.state_dict() for t in self.transforms if isinstance(t, Stateful)],
        }

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        stateful = [t for t in self.transforms if isinstance(t, Stateful)]
        for transform, saved in zip(stateful, state["transforms"], strict=True):
            transform.load_state_dict(saved)


def _optimizer(params: list[nn.Parameter], optim: OptimSettings) -> torch.optim.Optimizer:
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
