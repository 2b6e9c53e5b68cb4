"""Figures of gradients: their norm, and the walk of a weight under annealed noise."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def walk_std(lr: float, eta: float, gamma: float, steps: int) -> float:
    """Standard deviation of a weight that annealed noise alone has moved: ``lr sqrt(eta T^(1-gamma) / (1-gamma))``.

    The integral stands for the sum of the variances, less than 1 % too much at T >= 5,000.

    Args:
        lr: learning rate of plain SGD.
        eta: variance of the noise at the first step.
        gamma: exponent of its decrease, below 1.
        steps: T.

    Returns:
        Standard deviation in the units of the weight.
    """
    return lr * math.sqrt(eta * steps ** (1 - gamma) / (1 - gamma))


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Joint Euclidean norm of ``tensors`` as a scalar tensor, without waiting for the device."""
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))
