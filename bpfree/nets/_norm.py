"""Batch normalisation that also takes a batch in which a channel has a single value."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class _Norm:
    """A single value has no variance, and torch refuses it: it is normalised by the running statistics, as at test.

    It happens to the ragged last batch of one row, where the maps are 1x1 or there are none: 129 rows in batches of
    128, or one row that keeps a process in step with the others. The running statistics learn nothing from it.
    """

    def forward(self: Any, h: Tensor) -> Tensor:
        """``(B, n, …)`` to the same shape."""
        if self.training and h[:, 0].numel() == 1:
            return F.batch_norm(h, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(h)  # type: ignore[misc]


class BatchNorm1d(_Norm, nn.BatchNorm1d):
    """For ``(B, n)``."""


class BatchNorm2d(_Norm, nn.BatchNorm2d):
    """For ``(B, n, height, width)``."""
