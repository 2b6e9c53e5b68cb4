"""Replicated multi-layer perceptron: R independent nets, trained at once in batched matrix products.

Block k is ``h_r -> activation(W_kr h_r + b_kr)`` for replicas r = 0 … R-1 of one shape. Every parameter holds its
replicas in R equal parts along its first axis: weights ``(R, out, in)``, biases ``(R * out,)``. Activities are
``(B, R, n)``, scores ``(B, R, C)``; all replicas see the same batch. Replica 0 begins as net mlp does under that seed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.nets import mlp

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(mlp.Settings):
    replicas: int = setting(20, "R, number of nets", ge=1)


class Replicated(nn.Module):
    """R linear maps at once: ``(B, R, in)``, or ``(B, in)`` shared by all, to ``(B, R, out)``."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        self.replicas = len(layers)
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))  # (R, out, in)
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.cat(biases)) if biases else None  # one axis: it does not decay

    def forward(self, h: Tensor) -> Tensor:
        out = self.weight.shape[1]
        if h.dim() == 2:
            return nn.functional.linear(h, self.weight.flatten(0, 1), self.bias).unflatten(1, (self.replicas, out))
        h = h.permute(1, 2, 0)  # weights on the left, so that their gradients come out contiguous
        if self.bias is None:
            return (self.weight @ h).permute(2, 0, 1)
        return torch.baddbmm(self.bias.view(self.replicas, out, 1), self.weight, h).permute(2, 0, 1)


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks of R nets, drawn one after the other as `mlp.build` draws one.

    Args:
        spec: description of the data; ``spec.shape`` is flattened.
        settings: of the net.
        hidden_only: leave out the classifiers, for rules with heads of their own.

    Returns:
        Blocks ``(B, R, n)`` -> ``(B, R, n_k)`` and, unless ``hidden_only``, the classifiers.
    """
    nets = [mlp.build(spec, settings, hidden_only=hidden_only) for _ in range(settings.replicas)]
    return [_stacked(blocks, first=k == 0) for k, blocks in enumerate(zip(*nets, strict=True))]


def _stacked(blocks: Sequence[nn.Module], first: bool) -> nn.Module:
    """Join the same block of every net into one; only the first one flattens its inputs."""
    layers = [layer for block in blocks for layer in block.modules() if isinstance(layer, nn.Linear)]
    rest = [layer for layer in blocks[0].children() if not isinstance(layer, nn.Flatten | nn.Linear)]
    return nn.Sequential(*([nn.Flatten()] if first else []), Replicated(layers), *rest)
