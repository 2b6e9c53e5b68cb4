"""Classifiers in closed form, as yardsticks: linear discriminant analysis and the nearest neighbour."""

import torch
from torch import Tensor


def discriminant(x: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """Linear discriminant analysis: classes ``(M,)`` of ``queries (M, F)`` after ``x (N, F)``, ``y (N,)``.

    ``argmax_c  q^T S^+ mu_c - mu_c^T S^+ mu_c / 2 + log n_c``, S the pooled covariance within classes.
    """
    x, queries = x.double(), queries.double()
    counts = torch.bincount(y)
    means = torch.zeros(len(counts), x.shape[1], dtype=x.dtype).index_add_(0, y, x) / counts[:, None]
    within = x - means[y]
    precision = torch.linalg.pinv(within.mT @ within / (len(x) - len(counts)), hermitian=True)
    scores = queries @ precision @ means.mT - ((means @ precision) * means).sum(1) / 2 + counts.log()
    return scores.argmax(1)


def nearest(x: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """The class of the nearest row of ``x (N, F)``, by Euclidean distance, for each of ``queries (M, F)``."""
    return y[torch.cdist(queries.double(), x.double()).argmin(1)]
