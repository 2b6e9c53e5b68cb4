"""Metrics of a task: ``metric(scores, targets)`` is a float tensor; `METRICS` has them by name."""

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


METRICS = {"accuracy": accuracy, "mse": mse}
