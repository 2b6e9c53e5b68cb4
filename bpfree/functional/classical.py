"""Classifiers in closed form, as yardsticks: linear discriminant analysis and the nearest neighbour."""

import torch
from torch import Tensor


def discriminant(x: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """Linear discriminant analysis.

    ``argmax_c  q^T S^+ mu_c - mu_c^T S^+ mu_c / 2 + log n_c``, S the pooled covariance within classes.

    Args:
        x: training features ``(N, F)``.
        y: training classes ``(N,)`` int64.
        queries: features to classify, ``(M, F)``.

    Returns:
        Classes of the queries, ``(M,)``.
    """
    x, queries = x.double(), queries.double()
    counts = torch.bincount(y)
    means = torch.zeros(len(counts), x.shape[1], dtype=x.dtype).index_add_(0, y, x) / counts[:, None]
    within = x - means[y]
    precision = torch.linalg.pinv(within.mT @ within / (len(x) - len(counts)), hermitian=True)
    scores = queries @ precision @ means.mT - ((means @ precision) * means).sum(1) / 2 + counts.log()
    return scores.argmax(1)


def nearest(x: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """Nearest-neighbour classification by Euclidean distance.

    Args:
        x: training features ``(N, F)``.
        y: training classes ``(N,)``.
        queries: features to classify, ``(M, F)``.

    Returns:
        Class of the nearest training row for each query, ``(M,)``.
    """
    return y[torch.cdist(queries.double(), x.double()).argmin(1)]
