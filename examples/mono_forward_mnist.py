"""Mono-Forward on MNIST: every layer descends the cross-entropy of its own class scores.

    python examples/mono_forward_mnist.py

Leaves a run folder behind and reads its model back.
"""

import os

import bpfree
from bpfree.data import load
from energy import show

quick = {"epochs": 1, "subset": 5000, "hidden": (200, 200)} if os.environ.get("BPFREE_QUICK") else {}

record = bpfree.train("mono-forward", data="mnist", **quick)
energy = record["energy"]["train"]
print(f"test accuracy {record['result']['test']:.4f} after {record['result']['epochs']} epochs")
print(f"training took {record['time']['train_s']:.1f} s and {show(energy['total_j'], energy['method'])}")

model = bpfree.load(record["folder"])
batch = next(load("mnist").test.batches(10))
print("predicted", model.predict(batch.x).argmax(1).tolist())
print("true     ", batch.y.tolist())
