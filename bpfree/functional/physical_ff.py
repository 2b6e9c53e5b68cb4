"""Physical Forward-Forward's mathematics: goodness by direction, pairwise loss, labels. arXiv 2304.11042."""

import torch
import torch.nn.functional as F
from torch import Tensor


def direction(outputs: int, rng: torch.Generator) -> Tensor:
    """Draw a random direction of unit length.

    Args:
        outputs: n.
        rng: source of the normal numbers.

    Returns:
        ``xi (n,)``.
    """
    xi = torch.randn(outputs, generator=rng)
    return xi / xi.norm()


def cosine_goodness(z: Tensor, xi: Tensor) -> Tensor:
    """Goodness by direction: ``g = cos(|z|, xi)``, at most ``|max(xi, 0)|``; 0 for a row of zeros.

    Args:
        z: outputs of the layer ``(B, n)``.
        xi: direction ``(n,)``.

    Returns:
        ``(B,)``.
    """
    return F.cosine_similarity(z.abs(), xi.to(z), dim=1)


def pairwise_loss(positive: Tensor, negative: Tensor, theta: float) -> Tensor:
    """Logistic loss of pairs: ``mean_i log(1 + exp(-theta (g_i+ - g_i-)))``.

    Args:
        positive: goodness of the positive inputs ``(B,)``.
        negative: goodness of the negative inputs ``(B,)``.
        theta: steepness.

    Returns:
        A scalar.
    """
    return F.softplus(-theta * (positive - negative)).mean()


def with_label(x: Tensor, label: Tensor, value: Tensor, classes: int, slots: int) -> Tensor:
    """Put a label in front of the inputs: its slots hold ``value``, those of the other labels 0.

    Args:
        x: inputs ``(B, …)`` of n numbers.
        label: classes ``(B,)`` int64, or ``()`` for all of them.
        value: a scalar.
        classes: C.
        slots: number of slots of each label.

    Returns:
        ``(B, C * slots + n)``.
    """
    code = F.one_hot(label.expand(len(x)), classes).to(x) * value
    return torch.cat([code.repeat_interleave(slots, 1), x.flatten(1)], 1)


def mixtures(x: Tensor, draws: Tensor) -> Tensor:
    """Make negatives without labels: each number comes from the same row or from the next one.

    Args:
        x: inputs ``(B, …)`` of n numbers.
        draws: uniform numbers ``(B, n)`` in [0, 1).

    Returns:
        ``(B, n)``.
    """
    flat = x.flatten(1)
    return torch.where(draws < 0.5, flat, flat.roll(1, 0))
