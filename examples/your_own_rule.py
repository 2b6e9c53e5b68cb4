"""Write a rule of your own: subclass Trainer, yield local losses.

    python examples/your_own_rule.py
    bpfree train --algo examples/your_own_rule.py:Margin --data mnist
    bpfree train --algo examples/your_own_rule.py:Margin --data mnist --net cnn

The README prints the class below, and the tests run it on both nets.
"""

import os

import torch.nn.functional as F
from torch import nn

import bpfree
from bpfree import Local, Trainer


class Margin(Trainer):
    """Every hidden layer descends a multi-class margin loss of its own scores."""

    hidden_only = True  # it brings its own heads

    def setup(self):
        self.heads.extend(nn.Linear(n, self.spec.classes) for n in self.features)

    def local_losses(self, batch):
        h = batch.x
        for k, block in self.active:
            h = block(h.detach())
            yield Local(F.multi_margin_loss(self.heads[k](h.flatten(1)), batch.y), owner=k)

    def predict(self, batch):
        h = batch.x
        for _, block in self.trained:
            h = block(h)
        return self.heads[len(self.trained) - 1](h.flatten(1))


if __name__ == "__main__":
    quick = {"epochs": 1, "subset": 5000, "hidden": (200, 200)} if os.environ.get("BPFREE_QUICK") else {"epochs": 5}
    record = bpfree.train(Margin, data="mnist", **quick)
    print(f"test accuracy {record['result']['test']:.4f}")
