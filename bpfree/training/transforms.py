"""Gradient transforms: small pieces that change one owner's gradients in place, in the order they are listed."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class Transform(Protocol):
    """A change of the gradients of one owner, in place."""

    def __call__(self, grads: Sequence[Tensor], /) -> None: ...


@runtime_checkable
class Stateful(Protocol):
    """A transform whose state a checkpoint keeps."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...


class Centralise:
    """Subtract from each matrix or kernel gradient its mean over the fan-in: ``g_o <- g_o - mean(g_o)``, o an output.

    Yong, Huang, Hua, Zhang, "Gradient Centralization", arXiv 2004.01461. Vectors (biases, norms) are left alone.
    """

    def __call__(self, grads: Sequence[Tensor]) -> None:
        for grad in grads:
            if grad.ndim > 1:  # (out, in, …)
                grad -= grad.mean(tuple(range(1, grad.ndim)), keepdim=True)


class ClipNorm:
    """Scale the gradients so that their joint Euclidean norm is at most ``limit``: ``g <- g * min(1, limit / |g|)``.

    Args:
        limit: largest norm.
        replicas: R; each of R equal parts along the first axis of the gradients is scaled by its norm alone.
    """

    def __init__(self, limit: float, replicas: int = 1):
        self.limit, self.replicas = limit, replicas

    def __call__(self, grads: Sequence[Tensor]) -> None:
        parts = _parts(grads, self.replicas)
        norms = torch.stack([torch.linalg.vector_norm(part.reshape(len(part), -1), dim=1) for part in parts])
        scale = (self.limit / torch.linalg.vector_norm(norms, dim=0)).clamp(max=1.0)  # (R,)
        torch._foreach_mul_(parts, [scale.view(-1, *[1] * (part.ndim - 1)) for part in parts])


class AnnealedNoise:
    """Add normal noise that decreases with the steps t = 0, 1, 2, …: ``g <- g + n``, ``n ~ N(0, eta / (1 + t)^gamma)``.

    Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", arXiv 1511.06807. Under plain
    SGD at rate lr and with no other gradient, a weight walks to a standard deviation of
    `bpfree.functional.gradients.walk_std`.

    Args:
        eta: variance at the first step.
        gamma: exponent of its decrease.
        generators: on the gradients' device and used for nothing else; each draws for one of as many equal parts along
            the first axis of every gradient.
    """

    def __init__(self, eta: float, gamma: float, generators: Sequence[torch.Generator]):
        self.eta, self.gamma, self.generators, self.t = eta, gamma, generators, 0

    def __call__(self, grads: Sequence[Tensor]) -> None:
        std = math.sqrt(self.eta) * (1 + self.t) ** (-self.gamma / 2)
        self.t += 1
        parts = _parts(grads, len(self.generators))
        sizes = [part[0].numel() for part in parts]
        noise = parts[0].new_empty(len(parts[0]), sum(sizes))  # one draw for all: a draw for each is mostly calls
        for row, generator in zip(noise, self.generators, strict=True):
            row.normal_(generator=generator)
        pairs = zip(noise.split(sizes, 1), parts, strict=True)
        torch._foreach_add_(parts, [draw.view(part.shape) for draw, part in pairs], alpha=std)

    def state_dict(self) -> dict:
        return {"t": self.t, "generators": [generator.get_state() for generator in self.generators]}

    def load_state_dict(self, state: dict) -> None:
        self.t = state["t"]
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)


def _parts(grads: Sequence[Tensor], replicas: int) -> list[Tensor]:
    """Views ``(R, …)`` of the equal parts along the first axis."""
    return [grad[None] if replicas == 1 else grad.unflatten(0, (replicas, -1)) for grad in grads]
