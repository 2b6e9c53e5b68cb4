"""Peer normalisation of Forward-Forward: the gradient that brings units less active than their peers back to life."""

from torch import Tensor


def push_peers(activity: Tensor, z: Tensor, a: Tensor, strength: float) -> None:
    """Add ``strength (m - mean(m)) / B`` to the gradient by ``z`` of each positive; m follows the mean activity.

    Args:
        activity: m ``(n,)``, running mean of the positives' activities; updated.
        z: pre-activation ``(2B, …)``, so that dead units are pushed too; of a block that pools after it, the output.
        a: output of the block ``(2B, …)``, positives first.
        strength: of the push; 0 would be none.
    """
    half = len(a) // 2
    activity.lerp_(a.detach()[:half].flatten(1).mean(0, dtype=activity.dtype), 0.1)
    push = ((activity - activity.mean()) * (strength / half)).view(a.shape[1:])

    def add(grad: Tensor) -> Tensor:
        grad[:half] += push.to(grad.dtype)  # in place: nothing else reads it, and it is as large as the activities
        return grad

    if z.requires_grad:  # else the block is frozen
        z.register_hook(add)
