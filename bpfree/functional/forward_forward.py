"""Forward-Forward's mathematics: normalisation, goodness, the loss and the two streams. Hinton, arXiv 2212.13345."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.ELU)


def rms_normalise(h: Tensor, eps: float = 1e-8) -> Tensor:
    """Normalise each sample by its root mean square, so that the next layer cannot read its length.

    ``h / (sqrt(mean(h^2)) + eps)``, the mean over all features of a sample.

    Args:
        h: activities ``(B, …)``.
        eps: keeps a sample of zeros at zero.

    Returns:
        The same shape and precision.
    """
    flat = h.flatten(1)
    rms = flat.square().mean(1, dtype=torch.promote_types(h.dtype, torch.float32), keepdim=True).sqrt()
    return (flat * (1 / (rms + eps)).to(h.dtype)).view_as(h)


def goodness(a: Tensor, reduction: str) -> Tensor:
    """Sum or mean of squares of a sample's activities.

    Args:
        a: activities ``(B, …)``.
        reduction: ``sum`` or ``mean``.

    Returns:
        ``(B,)``, in at least single precision.
    """
    flat = a.flatten(1)
    total = SumOfSquares.apply(flat)
    return total if reduction == "sum" else total / flat.shape[1]


class SumOfSquares(torch.autograd.Function):
    """Sum of squares ``g = sum_j a_j^2`` of ``a (B, n)``, ``dg/da = 2 a``.

    Written out because autograd's version keeps three more tensors of that size.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        return a.square().sum(1, dtype=torch.promote_types(a.dtype, torch.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return a * (2 * grad[:, None]).to(a.dtype)


def logits(a: Tensor, reduction: str, threshold: float | None, temperature: float) -> Tensor:
    """Logits of being a positive sample: ``(g - theta) / T``, g the goodness.

    Args:
        a: activities ``(B, …)``.
        reduction: ``sum`` or ``mean``, of the goodness.
        threshold: theta; None: the layer's width for ``sum``, 2 for ``mean``.
        temperature: T.

    Returns:
        ``(B,)``.
    """
    default = a[0].numel() if reduction == "sum" else 2.0
    return (goodness(a, reduction) - (default if threshold is None else threshold)) / temperature


def goodness_loss(logits: Tensor) -> Tensor:
    """Mean of ``softplus(-l)`` over the first half (positives) and ``softplus(l)`` over the second (negatives).

    ``logits (2B,)`` are ``(g - theta) / T``, so that ``sigmoid`` of them is the probability of being positive.
    """
    positive = torch.zeros_like(logits)
    positive[: len(logits) // 2] = 1
    return F.binary_cross_entropy_with_logits(logits, positive)


def overlay(x: Tensor, label: Tensor) -> Tensor:
    """Replace the first C values of every flattened sample by a label.

    Args:
        x: samples ``(B, …)`` of at least C values.
        label: code ``(B, C)``, or ``(C,)`` for all of them.

    Returns:
        A copy in the shape of ``x``.
    """
    flat = x.flatten(1).clone()
    flat[:, : label.shape[-1]] = label
    return flat.view_as(x)


def make_room(x: Tensor, values: int) -> Tensor:
    """Put zeros in front of every sample, for `overlay` to write a label there and lose nothing.

    Args:
        x: samples ``(B, …)``.
        values: numbers of the label.

    Returns:
        Vectors with ``values`` numbers more; maps and sequences with whole rows more at their top, which hold as many.
    """
    if x.dim() == 2:
        return F.pad(x, (values, 0))
    return F.pad(x, (0, 0, -(-values // x.shape[-1]), 0))


def uniform_negatives(y: Tensor, draws: Tensor, classes: int) -> Tensor:
    """Draw a wrong label for each sample, all equally likely.

    Args:
        y: classes ``(B,)`` int64.
        draws: uniform numbers ``(B,)`` in [0, 1).
        classes: C.

    Returns:
        Wrong classes ``(B,)``.
    """
    return (y + 1 + (draws * (classes - 1)).long()) % classes


def hard_negatives(y: Tensor, draws: Tensor, logits: Tensor) -> Tensor:
    """Draw a wrong label for each sample, in proportion to ``softmax(logits)`` without the true class.

    Args:
        y: classes ``(B,)`` int64.
        draws: uniform numbers ``(B,)`` in [0, 1).
        logits: scores of the classes ``(B, C)``.

    Returns:
        Wrong classes ``(B,)``.
    """
    masked = logits.double().scatter(1, y[:, None], -torch.inf)
    cumulative = masked.softmax(1).cumsum(1)
    label = (cumulative <= draws[:, None].double() * cumulative[:, -1:]).sum(1)
    last = (cumulative < cumulative[:, -1:]).sum(1)  # rounding must not step past the last class that is possible
    return torch.minimum(label, last)


def hybrid(x: Tensor, noise: Tensor, blurs: int = 6) -> Tensor:
    """Make negatives without labels: patches of each image are mixed with the next image of the batch.

    The mask of large patches is noise, blurred by [1/4, 1/2, 1/4] in both directions and cut at 0.5.

    Args:
        x: images ``(B, c, H, W)``.
        noise: uniform numbers ``(B, 1, H, W)`` in [0, 1).
        blurs: number of times that the noise is blurred.

    Returns:
        Images ``(B, c, H, W)``.
    """
    kernel = noise.new_ones(3) / 4
    kernel[1] = 0.5
    for _ in range(blurs):
        noise = F.conv2d(noise, kernel.view(1, 1, 3, 1), padding=(1, 0))
        noise = F.conv2d(noise, kernel.view(1, 1, 1, 3), padding=(0, 1))
    mask = (noise > 0.5).to(x.dtype)
    return mask * x + (1 - mask) * x.roll(1, 0)


def through(block: nn.Module, x: Tensor, drive: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run a block and return its pre-activation as well.

    Args:
        block: a layer, or a sequence of layers with at most one activation.
        x: input ``(B, …)``.
        drive: added to the pre-activation, or None.

    Returns:
        Pre-activation and output; for a block without an activation, its output twice.
    """
    parts = list(block) if isinstance(block, nn.Sequential) else [block]
    at = next((k for k, part in enumerate(parts) if isinstance(part, ACTIVATIONS)), len(parts))
    z = x
    for part in parts[:at]:
        z = part(z)
    z = z if drive is None else z + drive
    out = z.clone() if any(getattr(part, "inplace", False) for part in parts[at:]) else z
    for part in parts[at:]:
        out = part(out)
    return z, out
