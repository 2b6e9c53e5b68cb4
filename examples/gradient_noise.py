"""Gradient noise moves a net out of zero: its weights walk at random, as theory says, until a signal passes.

    python examples/gradient_noise.py

Four small nets side by side, all weights zero at first. Without noise not one weight below the top would ever move.
"""

import os

import bpfree

settings = {"epochs": 4, "subset": 6400} if os.environ.get("BPFREE_QUICK") else {"epochs": 5}
settings |= {"batch_size": 32, "lr_schedule": "constant"}  # the theory holds for a constant rate

record = bpfree.train(
    "gradient-noise",
    data="mnist",
    net="replicated-mlp",
    replicas=4,
    hidden=(50,) * 4,
    init="zero",
    threads=1,
    **settings,
)
print("epoch  std(W) of the middle layer  lr sqrt(eta T^0.45 / 0.45)  validation accuracy")
for entry in record["history"]:
    std = entry["weight_std"]
    print(f"{entry['epoch']:5}  {std['measured']:26.4f}  {std['walk']:26.4f}  {entry['val']:19.3f}")
for replica, accuracy in record["result"]["readouts"].items():
    print(f"{replica:5} test accuracy {accuracy:.4f}")
