"""Channel-wise Forward-Forward: the channels of a layer are shared out over the classes, which compete.

Papachristodoulou, Kyrkou, Timotheou, Theocharides, "Convolutional Channel-wise Competitive Learning for the
Forward-Forward Algorithm", arXiv 2312.12668. There are no negatives and one pass: the goodness of class c in layer k is
the mean square of that class's channels, and a softmax over the classes is the layer's loss,

    g_kc = mean over channels j in S_c and over space of h_kj^2,   L_k = CE(softmax(g_k), y)

    dL_k/dh_kj = 2 E_kc h_kj / (|S_c| HW),   E_k = (softmax(g_k) - Y) / B,   HW: positions of a map, else 1

A block of the paper is convolution, relu, pooling, batch norm, in this order: net ``cnn`` with ``norm=after-pool`` and
``pool=max``. A channel that is active for few samples then has a large square for them; without it maps learn slowly.
Every second convolution has a group of channels a class (``groups``) and alone is pooled (``pool_every``).

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
block k       ``blocks[k]``           any; puts out ``(B, n_k, …)`` with n_k >= C
S_c           --                      the c-th of C consecutive shares of the n_k channels
============  ======================  ==========

Task: classification.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``: goodness of the last block, or of all blocks summed.
Differences from the paper: its schedule of interleaved layers is left out: all layers train in one sweep, or one after
another; shares may differ by one channel when n_k is no multiple of C. Its softmax classifier on top is left out, too.
Costs: one forward pass a step and a prediction; no parameters beyond the blocks'.
"""

from collections import deque
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional.channels import channel_goodness
from bpfree.training.trainer import Batch, Local, Phase, RuleSettings, Trainer


@settings
class Settings(RuleSettings):
    schedule: Literal["simultaneous", "sequential"] = setting("simultaneous", "all layers in one sweep or one by one")
    readout: Literal["last", "sum"] = setting("last", "goodness of the last block, or summed over the blocks")


class ChannelForwardForward(Trainer):
    """Every block makes the channels of the true class the most active."""

    Settings = Settings
    hidden_only = True
    overlap = True
    image_net = "cnn"
    prefer = {"lr": 0.01, "channels": (20, 40, 80), "pool": "max", "norm": "after-pool"}
    because = {("lr",): "the goodness is a mean of squares, whose gradient by one channel is small"}

    @property
    def readouts(self) -> tuple[str, ...]:
        return "last", "sum"

    def setup(self) -> None:
        for k, (channels, *rest) in enumerate(self.shapes):
            if len(rest) == 1:
                raise InputError(f"block {k} puts out sequences, channel-ff needs maps or vectors: try --net cnn")
            if channels < self.spec.classes:
                raise InputError(
                    f"block {k} has {channels} channels for {self.spec.classes} classes: channel-ff needs at least one "
                    f"for each"
                )

    def phases(self, epochs: int) -> list[Phase]:
        if self.settings.schedule == "simultaneous":
            return super().phases(epochs)
        return Phase.one_by_one(self.blocks, epochs)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        h = batch.x
        for k, block in self.active:
            h = block(h.detach())
            yield Local(F.cross_entropy(channel_goodness(h, self.spec.classes), batch.y), owner=k)

    def goodness(self, h: Tensor) -> Iterator[Tensor]:
        """Goodness of the classes ``(B, C)`` in every block trained so far."""
        for _, block in self.trained:
            h = block(h)
            yield channel_goodness(h, self.spec.classes)

    def predict(self, batch: Batch) -> Tensor:
        by_block = self.goodness(batch.x)
        if self.settings.readout == "sum":
            return torch.stack(list(by_block)).sum(0)
        return deque(by_block, maxlen=1)[0]
