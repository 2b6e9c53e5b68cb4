"""Feedback alignment: the output error reaches hidden layers through fixed random matrices, not transposed weights.

Lillicrap et al., "Random synaptic feedback weights support error backpropagation for deep learning", Nature
Communications 7, 2016; Nokland, "Direct Feedback Alignment Provides Learning in Deep Neural Networks", arXiv
1609.01596.

    e = (softmax(f(x)) - y) / B,   direct: delta_k = e B_k,   layer by layer: delta_{k-1} = (delta_k * f_k') B_k
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rehearse(blocks: Iterable[nn.Module], x: Tensor, through: Callable = lambda block, h: block(h)) -> Tensor:
    """What ``blocks`` will put out when they run again on ``x``: no graph is kept and nothing is left behind.

    Batch normalisation uses the batch's statistics without adding to its running ones, which the second run will do;
    the random state is as before, so that the second run draws the same dropout masks.
    """
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices):
        for block in blocks:
            norms: list[Any] = [m for m in block.modules() if getattr(m, "track_running_stats", False)]
            tracking = [m for m in norms if m.training]
            for module in tracking:
                module.track_running_stats = False
            x = through(block, x)
            for module in tracking:
                module.track_running_stats = True
    return x


def output_error(scores: Tensor, y: Tensor) -> Tensor:
    """Gradient of the mean cross-entropy by ``scores (B, C)``: ``(softmax(scores) - one_hot(y)) / B``."""
    scores = scores.detach().float() if scores.dtype == torch.bfloat16 else scores.detach()
    return (scores.softmax(1) - F.one_hot(y, scores.shape[1])) / len(scores)


def feedback_matrix(classes: int, n: int) -> Tensor:
    """A feedback matrix ``(C, n)`` of normal entries, every row of Euclidean norm one."""
    return F.normalize(torch.randn(classes, n), dim=1)


def pull_back(h: Tensor, delta: Tensor) -> None:
    """Add ``delta (B, n)``, taken for the gradient by the block output ``h (B, …)``, to the gradients of its graph."""
    h.backward(delta.view_as(h).to(h.dtype))


class _Detour(torch.autograd.Function):
    """``y`` as it is; its gradient goes on to ``y``, and by another way to ``x``."""

    @staticmethod
    def forward(ctx, y: Tensor, x: Tensor, feedback: Tensor, way: Callable) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(feedback)
        ctx.way, ctx.shape = way, x.shape
        return y.view_as(y)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (feedback,) = ctx.saved_tensors
        by_x = ctx.way(grad, feedback.to(grad.dtype), ctx.shape) if ctx.needs_input_grad[1] else None
        return grad, by_x, None, None


def detour(y: Tensor, x: Tensor, feedback: Tensor, way: Callable[[Tensor, Tensor, torch.Size], Tensor]) -> Tensor:
    """``y``, made of ``x.detach()``, with ``way(grad_y, feedback, shape of x)`` as the gradient by ``x``."""
    return _Detour.apply(y, x, feedback, way)  # type: ignore[no-any-return]
