"""Physical Forward-Forward's mathematics: goodness by direction, pairwise loss, labels. arXiv 2304.11042."""

import torch
import torch.nn.functional as F
from torch import Tensor


def direction(outputs: int, rng: torch.Generator) -> Tensor:
    """A random direction ``xi (n,)`` of unit length."""
    xi = torch.randn(outputs, generator=rng)
    return xi / xi.norm()


def cosine_goodness(z: Tensor, xi: Tensor) -> Tensor:
    """``g = cos(|z|, xi)`` of every row of ``z (B, n)``: ``(B,)``, at most ``|max(xi, 0)|``; 0 for a row of zeros."""
    return F.cosine_similarity(z.abs(), xi.to(z), dim=1)


def pairwise_loss(positive: Tensor, negative: Tensor, theta: float) -> Tensor:
    """``mean_i log(1 + exp(-theta (g_i+ - g_i-)))`` of goodnesses ``(B,)``."""
    return F.softplus(-theta * (positive - negative)).mean()


def with_label(x: Tensor, label: Tensor, value: Tensor, classes: int, slots: int) -> Tensor:
    """Inputs ``(B, classes * slots + n)``: the slots of the label read ``value``, those of other labels 0, then ``x``.

    Args:
        x: inputs ``(B, …)`` of n numbers.
        label: ``(B,)`` int64, or ``()`` for all of them.
        value: ``()``.
        slots: that each label has.
    """
    code = F.one_hot(label.expand(len(x)), classes).to(x) * value
    return torch.cat([code.repeat_interleave(slots, 1), x.flatten(1)], 1)


def mixtures(x: Tensor, draws: Tensor) -> Tensor:
    """Negatives without labels: each number of a row is its own or the next row's, by ``draws (B, n)`` in [0, 1)."""
    flat = x.flatten(1)
    return torch.where(draws < 0.5, flat, flat.roll(1, 0))
