"""Similarity matching: features of one class are drawn together, others apart. Nokland & Eidnes, arXiv 1901.06656."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.functional.precision import outside_autocast


def summary(h: Tensor) -> Tensor:
    """Features of each sample as one row; for a map ``(B, n, H, W)``, n > 3, each channel's deviation over space."""
    if h.dim() < 4 or h.shape[1] <= 3 or h.shape[2] == 1:
        return h.flatten(1)
    maps = h.to(torch.promote_types(h.dtype, torch.float32))
    squares = (maps - maps.mean((2, 3), keepdim=True)).square().sum((2, 3))  # on a CPU in half the time of var
    variance = squares / (h[0, 0].numel() - 1)
    return variance.clamp_min(1e-12).sqrt()  # a constant channel has no direction: its gradient is zero, not NaN


def similarity(x: Tensor) -> Tensor:
    """Cosine of the angle between any two rows of ``x (B, n)``, each centred over its features: ``(B, B)``, -1..1."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = x - x.mean(1, keepdim=True)
    length = centred.square().sum(1, keepdim=True).clamp_min(1e-16).sqrt()
    unit = torch.where(length > 1e-8, centred / length, 0)  # a silent sample is like no other, and has no gradient
    with outside_autocast(x):  # in bfloat16, near angles would be one
        return (unit @ unit.T).clamp(-1, 1)


def similarity_loss(features: Tensor, y: Tensor, classes: int) -> Tensor:
    """Similarity matching loss over the batch's pairs: ``mean (S(features) - S(onehot(y)))^2``.

    Args:
        features: ``(B, …)``.
        y: classes ``(B,)`` int64.
        classes: C; the target of a pair is 1 or -1/(C-1).

    Returns:
        A scalar.
    """
    x = summary(features)
    target = similarity(F.one_hot(y, classes).to(torch.promote_types(x.dtype, torch.float32)))
    return F.mse_loss(similarity(x), target)
