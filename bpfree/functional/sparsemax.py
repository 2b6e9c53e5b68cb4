"""Sparsemax, a softmax that can be exactly zero, and its loss. Martins and Astudillo, arXiv 1602.02068."""

import torch
from torch import Tensor


def sparsemax(z: Tensor) -> Tensor:
    """Euclidean projection of every row of ``z (B, C)`` onto the probability simplex.

        p_j = max(z_j - tau, 0),   tau = (z_(1) + … + z_(k) - 1) / k,   k = max{k : 1 + k z_(k) > z_(1) + … + z_(k)}

    with ``z_(1) >= z_(2) >= …`` the sorted scores of a row.
    """
    ordered = z.sort(1, descending=True).values
    sums = ordered.cumsum(1)
    rank = torch.arange(1, z.shape[1] + 1, dtype=z.dtype, device=z.device)
    k = (1 + rank * ordered > sums).sum(1, keepdim=True)  # (B, 1): the condition holds for the first k and no others
    tau = (sums.gather(1, k - 1) - 1) / k
    return (z - tau).clamp(min=0)


def sparsemax_loss(z: Tensor, y: Tensor) -> Tensor:
    """Sparsemax loss, the mean over the rows of

        L = -z_y + 1/2 sum_{j: p_j > 0} (z_j^2 - tau^2) + 1/2  =  -z_y + <p, z> - |p|^2 / 2 + 1/2,   dL/dz = p - e_y

    with ``p = sparsemax(z)``. It is zero exactly where ``z_y`` exceeds all other scores by 1 or more. ``p`` maximises
    the right-hand side over the simplex, so the gradient may take it as fixed (Danskin's theorem).

    Args:
        z: scores ``(B, C)``.
        y: classes ``(B,)`` int64.

    Returns:
        A scalar.
    """
    p = sparsemax(z.detach())
    return ((p * z).sum(1) - p.square().sum(1) / 2 + 0.5 - z.gather(1, y[:, None])[:, 0]).mean()
