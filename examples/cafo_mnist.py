"""Cascaded Forward on MNIST: random convolutions, and a linear predictor on each of them.

    python examples/cafo_mnist.py

The predictors are solved in closed form from one pass over the data each; no gradient is taken anywhere.
"""

import os

import bpfree

quick = {"subset": 3000, "channels": (8, 16)} if os.environ.get("BPFREE_QUICK") else {}

record = bpfree.train("cafo", data="mnist", predictor="mse", **quick)
for entry in record["history"]:
    print(f"{entry['phase']:12} validation accuracy {entry['val']:.4f}")
for readout, accuracy in record["result"]["readouts"].items():
    print(f"sum of {readout:8} test accuracy {accuracy:.4f}")
print(f"{record['result']['data_passes']:.0f} passes over the data, {record['time']['train_s']:.1f} s")
