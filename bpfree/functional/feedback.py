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
    """Compute the output of ``blocks`` ahead of the run that trains them, without a graph and without side effects.

    Batch normalisation uses the batch's statistics without adding to its running ones, which the second run will do;
    the random state is as before, so that the second run draws the same dropout masks.

    Args:
        blocks: in order of use.
        x: input of the first block ``(B, …)``.
        through: ``(block, input) -> output``.

    Returns:
        Output of the last block.
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
    """Gradient of the loss by the outputs.

        classes: (softmax(scores) - one_hot(y)) / B    of the mean cross-entropy
        numbers: 2 (scores - y) / (B T)                of the mean squared error

    Args:
        scores: class scores ``(B, C)``, or numbers ``(B, T)``.
        y: classes ``(B,)`` int64, or numbers ``(B, T)``.

    Returns:
        The shape of ``scores``, in at least single precision.
    """
    scores = scores.detach().float() if scores.dtype == torch.bfloat16 else scores.detach()
    if y.is_floating_point():
        return 2 * (scores - y) / scores.numel()
    return (scores.softmax(1) - F.one_hot(y, scores.shape[1])) / len(scores)


def feedback_matrix(outputs: int, n: int) -> Tensor:
    """Draw a feedback matrix of normal entries, every row of Euclidean norm one.

    Args:
        outputs: C, number of classes or targets.
        n: width of the block output.

    Returns:
        ``(C, n)``.
    """
    return F.normalize(torch.randn(outputs, n), dim=1)


def pull_back(h: Tensor, delta: Tensor) -> None:
    """Run backward from ``h`` as if ``delta`` were its gradient.

    Args:
        h: block output ``(B, …)`` with a graph.
        delta: ``(B, n)``, n numbers a sample as in ``h``.
    """
    h.backward(delta.view_as(h).to(h.dtype))


class _Detour(torch.autograd.Function):
    """Identity on ``y``; its gradient goes on to ``y`` and, transformed by ``way``, to ``x``."""

    @staticmethod
    def forward(ctx, y: Tensor, x: Tensor, feedback: Tensor, way: Callable) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(feedback)
        ctx.way, ctx.shape = way, x.shape
        ctx.mark_dirty(y)  # returned as it is and not as a view, which an activation could not change in place
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (feedback,) = ctx.saved_tensors
        by_x = ctx.way(grad, feedback.to(grad.dtype), ctx.shape) if ctx.needs_input_grad[1] else None
        return grad, by_x, None, None


def detour(y: Tensor, x: Tensor, feedback: Tensor, way: Callable[[Tensor, Tensor, torch.Size], Tensor]) -> Tensor:
    """Attach a gradient by ``x`` to ``y``, which was computed from ``x.detach()``.

    Args:
        y: output of a layer.
        x: its input.
        feedback: fixed matrix or kernel that takes the place of the transposed weight.
        way: ``(gradient by y, feedback, shape of x) -> gradient by x``.

    Returns:
        ``y`` with that gradient.
    """
    return _Detour.apply(y, x, feedback, way)  # type: ignore[no-any-return]
