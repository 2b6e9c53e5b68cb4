"""Direct feedback alignment beside a physical system: fixed random matrices carry the error to the linear maps.

    bpfree train --algo examples/direct_feedback.py:DirectFeedback --net acoustic --data vowels --normalize positive

Noekland, arXiv 1609.01596, with no derivative of the physics: dW_t = (e B_t)^T s_t, where e is the output's error.
"""

import os

import torch
import torch.nn.functional as F

import bpfree
from bpfree import Local, Trainer


class DirectFeedback(Trainer):
    """Every layer is told the output's error through a matrix of its own."""

    def setup(self):
        for k, n in enumerate(self.features[:-1]):
            self.register_buffer(f"feedback_{k}", torch.randn(self.spec.classes, n) / self.spec.classes**0.5)

    def local_losses(self, batch):
        outputs, h = [], batch.x
        for block in self.blocks:
            h = block(h.detach())
            outputs.append(h)
        error = (h.detach().softmax(1) - F.one_hot(batch.y, self.spec.classes)) / len(h)
        for k, z in enumerate(outputs[:-1]):
            yield Local((z * (error @ getattr(self, f"feedback_{k}"))).sum(), owner=k)
        yield Local(F.cross_entropy(h, batch.y), owner=len(outputs) - 1)

    def predict(self, batch):
        h = batch.x
        for block in self.blocks:
            h = block(h)
        return h


if __name__ == "__main__":
    epochs = 5 if os.environ.get("BPFREE_QUICK") else 200
    values = {"net": "acoustic", "normalize": "positive", "batch_size": 1000, "lr": 5e-3, "keep": "last"}
    record = bpfree.train(DirectFeedback, data="vowels", epochs=epochs, **values)
    print(f"test accuracy {record['result']['test']:.4f}")
