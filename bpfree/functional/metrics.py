"""Metrics of a task: ``metric(scores, targets)`` is a float tensor; `METRICS` has them by name."""

import torch
import torch.nn.functional as F
from torch import Tensor


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Share of rows whose largest score is the target's: ``scores (N, C)``, ``y (N,)``.

    ``scores (N, R, C)`` are those of R nets that are judged one by one: the mean of their accuracies.
    """
    return (scores.argmax(-1).view(len(y), -1) == y[:, None]).double().mean()


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over all entries; ``outputs`` and ``y`` have one shape."""
    return F.mse_loss(outputs.double(), y.double())


def roc_auc(scores: Tensor, y: Tensor) -> Tensor:
    """Probability that a random positive scores above a random negative, ties counting half: both ``(N,)``, y 0 or 1.

    The Mann-Whitney form: U = sum of the positives' ranks - P (P + 1) / 2, area = U / (P (N - P)).
    """
    values, place = scores.double().unique(return_inverse=True)
    count = torch.bincount(place, minlength=len(values)).double()
    rank = (count.cumsum(0) - (count - 1) / 2)[place]  # the mean rank among equals
    positives = y.double().sum()
    u = (rank * y).sum() - positives * (positives + 1) / 2
    return u / (positives * (len(y) - positives))


METRICS = {"accuracy": accuracy, "mse": mse, "roc-auc": roc_auc}
