"""Pair losses of counter-current learning (arXiv 2409.19841): one level of the two nets is compared.

``a`` is the forward activation of the samples, ``b`` the feedback activation of the C class prototypes, or, where an
image is reconstructed, of the samples' targets. Both get a gradient: nothing is detached between the two nets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-8  # keeps a row of zeros from being divided by zero


def raw_pair(a: Tensor, b: Tensor, target: Tensor, scale: float) -> Tensor:
    """Squared error of the overlaps: ``(256 scale / d) mean_ic ((a b^T)_ic - T_ic)^2``.

    Args:
        a: forward activations ``(B, d)``.
        b: feedback activations of the class prototypes, ``(C, d)``.
        target: one-hot classes ``(B, C)``.
        scale: factor of the loss.

    Returns:
        A scalar.
    """
    return 256 * scale / a.shape[1] * (a @ b.T - target).square().mean()


def normalised_pair(a: Tensor, b: Tensor, target: Tensor, scale: float, spread: float) -> Tensor:
    """Squared error of the overlaps of rows of unit length, with a term that keeps the rows of each net apart.

    ``scale mean (A B^T - T)^2 + spread mean (A A^T - I)^2 + spread mean (B B^T - I)^2``, ``A = a/|a|``, ``B = b/|b|``.

    Args:
        a: forward activations ``(B, d)``.
        b: feedback activations of the class prototypes, ``(C, d)``.
        target: one-hot classes ``(B, C)``.
        scale: factor of the first term.
        spread: factor of the other two; 0 leaves them out.

    Returns:
        A scalar.
    """
    a, b = (rows / (torch.linalg.vector_norm(rows, dim=1, keepdim=True) + _EPS) for rows in (a, b))
    loss = scale * (a @ b.T - target).square().mean()
    if spread:
        loss = loss + spread * (_overlap(a) + _overlap(b))
    return loss


def _overlap(rows: Tensor) -> Tensor:
    """Squared overlap of different rows ``(N, d)``: ``mean (R R^T - I)^2``."""
    return (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).square().mean()


def map_pair(a: Tensor, b: Tensor) -> Tensor:
    """Squared error of maps and of their normalised forms: ``mean (a - b)^2 + mean (n(a) - n(b))^2``.

    Args:
        a: forward maps ``(B, c, h, w)``.
        b: feedback maps of the same shape. n: a map less its mean, divided by its length.

    Returns:
        A scalar.
    """
    return F.mse_loss(a, b) + F.mse_loss(_unit_maps(a), _unit_maps(b))


def _unit_maps(maps: Tensor) -> Tensor:
    """Maps ``(B, c, h, w)``, each centred and of unit length."""
    centred = maps - maps.mean((2, 3), keepdim=True)
    return centred / (torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True) + _EPS)
