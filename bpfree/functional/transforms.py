"""Gradient transforms: small pieces that change one owner's gradients in place, in the order they are listed."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Centralise:
    """Take from each matrix or kernel gradient its mean over the fan-in: ``g_o <- g_o - mean(g_o)``, o an output.

    Yong, Huang, Hua, Zhang, "Gradient Centralization", arXiv 2004.01461. Vectors (biases, norms) are left alone.
    """

    def __call__(self, grads: Sequence[Tensor]) -> None:
        for grad in grads:
            if grad.ndim > 1:  # (out, in, …)
                grad -= grad.mean(tuple(range(1, grad.ndim)), keepdim=True)


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
