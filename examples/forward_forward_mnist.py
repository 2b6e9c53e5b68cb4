"""Forward-Forward on MNIST: every layer tells real from wrong data by how active it is.

    python examples/forward_forward_mnist.py

One trained net is read in two ways: by a linear softmax on its activities for a neutral label, and by trying every
label and asking for which one the layers are most active.
"""

import os

import bpfree

quick = {"epochs": 1, "subset": 5000, "hidden": (200, 200)} if os.environ.get("BPFREE_QUICK") else {"epochs": 10}

record = bpfree.train("forward-forward", data="mnist", precision="bf16", **quick)
for readout, accuracy in record["result"]["readouts"].items():
    print(f"{readout:8} test accuracy {accuracy:.4f}")

print("epoch  loss of each block")
for entry in record["history"]:
    print(f"{entry['epoch']:5}  " + "  ".join(f"{k}: {loss:.3f}" for k, loss in entry["loss"].items()))
