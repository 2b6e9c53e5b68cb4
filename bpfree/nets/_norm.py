"""Batch normalisation that accepts a batch in which a channel has a single value."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class _Norm:
    """Normalisation by the running statistics where a channel has a single value, which has no variance.

    torch refuses such a batch. It occurs as a ragged last batch of one row, where the maps are 1x1 or there are none:
    129 rows in batches of 128, or one row that keeps a process in step with the others. The running statistics are not
    updated by it.
    """

    def forward(self: Any, h: Tensor) -> Tensor:
        """Normalise ``(B, n, …)``."""
        if self.training and h[:, 0].numel() == 1:
            return F.batch_norm(h, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(h)  # type: ignore[misc]


class BatchNorm1d(_Norm, nn.BatchNorm1d):
    """Batch normalisation of features ``(B, n)``."""


class BatchNorm2d(_Norm, nn.BatchNorm2d):
    """Batch normalisation of maps ``(B, n, height, width)``."""
