"""Channel-wise goodness: each class has a share of the channels. Papachristodoulou et al., arXiv 2312.12668."""

import torch
from torch import Tensor


def channel_goodness(h: Tensor, classes: int) -> Tensor:
    """Mean square of each class's channels.

    Args:
        h: activations ``(B, n, …)``.
        classes: C; the channels are shared out in order, and shares differ by one channel at most.

    Returns:
        One goodness a class, ``(B, C)``, in at least single precision.
    """
    square = h.to(torch.promote_types(h.dtype, torch.float32)).square()
    per_channel = square.flatten(2).mean(2) if h.dim() > 2 else square  # (B, n)
    return torch.stack([share.mean(1) for share in per_channel.tensor_split(classes, dim=1)], 1)
