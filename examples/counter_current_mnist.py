"""Counter-current learning on MNIST: a second net brings the class prototypes down to meet the digits that come up.

    python examples/counter_current_mnist.py

Trains the rule, its control with a fixed random feedback net, and an autoencoder; the pictures that the last one puts
out go into a file beside its run.
"""

import os
from pathlib import Path

import torch
from PIL import Image

import bpfree
from bpfree.data import load

QUICK = bool(os.environ.get("BPFREE_QUICK"))
net = {"epochs": 3, "subset": 2000, "hidden": (64, 64), "batch_size": 25} if QUICK else {"epochs": 10}
small = {"epochs": 1, "subset": 2000, "encoder": (4, 8), "batch_size": 10}
coder = small if QUICK else {"epochs": 3, "encoder": (16, 32, 64), "batch_size": 32}

for feedback in ("learned", "fixed"):
    record = bpfree.train("counter-current", data="mnist", normalize="standard", feedback=feedback, **net)
    print(f"{feedback} feedback: test accuracy {record['result']['test']:.4f}")

slow = {"lr": 0.01, "momentum": 0.9, "clip": 0.2, "pair_scale": 1.0, "warmup_steps": 100}
coder |= {"net": "autoencoder", "normalize": "unit"}
record = bpfree.train("counter-current", data="mnist", task="reconstruction", **slow, **coder)
print(f"autoencoder: mean squared error {record['result']['test']:.4f}")

model = bpfree.load(record["folder"])
images = next(load("mnist").test.batches(10)).x  # (10, 1, 28, 28) in 0..1
pair = torch.cat([images, model.predict(images)]).clamp(0, 1)  # inputs, then outputs
rows = pair.reshape(2, 10, 28, 28).permute(0, 2, 1, 3).reshape(56, 280)
file = Path(record["folder"]) / "pictures.png"
Image.fromarray((rows * 255).byte().numpy()).save(file)
print(f"digits and what came out: {file}")
