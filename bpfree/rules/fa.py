"""Feedback alignment: backpropagation in which fixed random matrices stand in for the transposed weights.

Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error backpropagation for deep learning",
Nature Communications 7:13276, 2016. The error goes down layer by layer:

    dL/dW_k = delta_k^T a_{k-1},   delta_{k-1} = (delta_k B_k) * relu'(z_{k-1}),   delta_K = (softmax(z_K) - y) / B

B_k = W_k would be backpropagation.

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
W_k           ``weight`` of a layer   (n_k, n_{k-1}); of a convolution (out, in, h, w)
B_k           its ``feedback``        as W_k, fixed
============  ======================  ==========

Tasks: classification; regression, where ``delta_K = 2 (z_K - y) / (B T)``, of the mean squared error.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``.
Differences from the paper: the entries of B_k are normal of variance 1/fan_out, which keeps the size of delta; linear
layers and 2-D convolutions anywhere in a block are aligned; normalisation, pooling and activations keep their own
derivative. The layer that the input enters has a B_k that nothing uses.
Costs: as backpropagation: one forward pass a step, every activation kept until backward. B_k doubles the stored
weights.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from bpfree.errors import InputError
from bpfree.functional.feedback import detour
from bpfree.rules.backprop import LOSSES, Backprop
from bpfree.training.trainer import Batch, Local, RuleSettings, Trainer


class FA(Backprop):
    """Backpropagation through fixed random matrices."""

    Settings = RuleSettings  # type: ignore[assignment]  # no deep supervision, no checkpointing
    forward_passes = Trainer.forward_passes
    tasks = ("classification", "regression")

    def setup(self) -> None:
        modules = self.blocks.named_modules()
        layers = {name: m for name, m in modules if any(p.ndim > 1 for p in m.parameters(recurse=False))}
        for name, layer in layers.items():
            plain = (
                isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
            )
            if not (plain or isinstance(layer, nn.Linear)):
                kind = f"{type(layer).__name__} (blocks.{name})"
                raise InputError(f"fa aligns linear layers and zero-padded 2-D convolutions, not {kind}: replace it")
        self.layers = tuple(layers.values())
        for i, layer in enumerate(self.layers):
            weight: Any = layer.weight
            fan_out = weight.shape[0] * weight[0, 0].numel() // getattr(layer, "groups", 1)
            self.register_buffer(f"feedback_{i}", torch.randn_like(weight) / fan_out**0.5)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        with self.aligned():
            loss = LOSSES[self.spec.task](super().predict(batch), batch.y)
        yield Local(loss, owner="net")

    @contextlib.contextmanager
    def aligned(self) -> Iterator[None]:
        """Inside, the layers send errors down through their fixed matrices; outside they are as they were."""
        for i, layer in enumerate(self.layers):
            layer.forward = partial(_forward, layer, getattr(self, f"feedback_{i}"))
        try:
            yield
        finally:
            for layer in self.layers:
                del layer.forward


def _forward(layer: nn.Module, feedback: Tensor, x: Tensor) -> Tensor:
    """Output of ``layer``, with ``feedback`` in place of its weights on the way back to ``x``."""

    def convolution(grad: Tensor, b: Tensor, shape: torch.Size) -> Tensor:
        conv: Any = layer
        return conv2d_input(shape, b, grad, conv.stride, conv.padding, conv.dilation, conv.groups)

    way = convolution if isinstance(layer, nn.Conv2d) else _linear
    return detour(type(layer).forward(layer, x.detach()), x, feedback, way)


def _linear(grad: Tensor, b: Tensor, shape: torch.Size) -> Tensor:
    return grad @ b
