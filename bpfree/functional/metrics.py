"""Metrics of a task: ``metric(scores, targets)`` is a scalar in float64; `METRICS` has them by name."""

import torch
import torch.nn.functional as F
from torch import Tensor


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Share of rows whose largest score is the target's.

    Args:
        scores: class scores ``(N, C)``; ``(N, R, C)`` of R nets gives the mean of their accuracies.
        y: classes ``(N,)`` int64.

    Returns:
        A scalar in 0..1.
    """
    return (scores.argmax(-1).view(len(y), -1) == y[:, None]).double().mean()


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over all entries.

    Args:
        outputs: ``(N, …)``.
        y: targets of the same shape.

    Returns:
        A scalar.
    """
    return F.mse_loss(outputs.double(), y.double())


def roc_auc(scores: Tensor, y: Tensor) -> Tensor:
    """Area under the ROC curve: probability that a random positive scores above a random negative, ties counting half.

    The Mann-Whitney form: U = sum of the positives' ranks - P (P + 1) / 2, area = U / (P (N - P)).

    Args:
        scores: ``(N,)``.
        y: labels ``(N,)``, 0 or 1.

    Returns:
        A scalar in 0..1; NaN without a positive or without a negative.
    """
    values, place = scores.double().unique(return_inverse=True)
    count = torch.bincount(place, minlength=len(values)).double()
    rank = (count.cumsum(0) - (count - 1) / 2)[place]  # the mean rank among equals
    positives = y.double().sum()
    u = (rank * y).sum() - positives * (positives + 1) / 2
    return u / (positives * (len(y) - positives))


METRICS = {"accuracy": accuracy, "mse": mse, "roc-auc": roc_auc}
