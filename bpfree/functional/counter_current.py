"""Pair losses of counter-current learning (arXiv 2409.19841): what a level of both nets shares.

``a`` is the forward activation of the samples, ``b`` the feedback activation of the C class prototypes, or, where an
image is reconstructed, of the samples' targets. Both get a gradient: nothing is detached between the two nets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-8  # keeps a row of zeros from being divided by zero


def raw_pair(a: Tensor, b: Tensor, target: Tensor, scale: float) -> Tensor:
    """``(256 scale / d) mean_ic ((a b^T)_ic - T_ic)^2``: rows ``a (B, d)``, ``b (C, d)``, one-hot ``target (B, C)``."""
    return 256 * scale / a.shape[1] * (a @ b.T - target).square().mean()


def normalised_pair(a: Tensor, b: Tensor, target: Tensor, scale: float, spread: float) -> Tensor:
    """The same without 256/d and with rows of unit length; ``spread`` keeps the rows of each net apart.

    ``scale mean (A B^T - T)^2 + spread mean (A A^T - I)^2 + spread mean (B B^T - I)^2``, ``A = a/|a|``, ``B = b/|b|``.
    """
    a, b = (rows / (torch.linalg.vector_norm(rows, dim=1, keepdim=True) + _EPS) for rows in (a, b))
    loss = scale * (a @ b.T - target).square().mean()
    if spread:
        loss = loss + spread * (_overlap(a) + _overlap(b))
    return loss


def _overlap(rows: Tensor) -> Tensor:
    """``mean (R R^T - I)^2`` of rows ``(N, d)``."""
    return (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).square().mean()


def map_pair(a: Tensor, b: Tensor) -> Tensor:
    """``mean (a - b)^2 + mean (n(a) - n(b))^2`` of maps ``(B, c, h, w)``; n: a map less its mean, over its length."""
    return F.mse_loss(a, b) + F.mse_loss(_unit_maps(a), _unit_maps(b))


def _unit_maps(maps: Tensor) -> Tensor:
    centred = maps - maps.mean((2, 3), keepdim=True)
    return centred / (torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True) + _EPS)
