"""Gradient transforms: small pieces that change one owner's gradients in place, in the order they are listed."""

from collections.abc import Sequence

import torch
from torch import Tensor


class ClipNorm:
    """Scale the gradients so that their joint Euclidean norm is at most ``limit``: ``g <- g * min(1, limit / |g|)``."""

    def __init__(self, limit: float):
        self.limit = limit

    def __call__(self, grads: Sequence[Tensor]) -> None:
        scale = (self.limit / total_norm(grads)).clamp(max=1.0)
        torch._foreach_mul_(list(grads), scale)


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Joint Euclidean norm of ``tensors`` as a scalar tensor, without waiting for the device."""
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))
