"""Images, and what autoencoders trained by counter-current learning and by backpropagation make of them.

    python examples/reconstructions.py

Runs seed 0 of the recipes ``ccl-autoencoder-cifar10`` and ``bp-ccl-autoencoder-cifar10``, or reads them from
``runs/reproduce`` when they have been run, and draws ten test images in three rows: given, counter-current, backprop.
"""

import os
from pathlib import Path

import torch
from PIL import Image

import bpfree
from bpfree import reproduce
from bpfree.data import load

QUICK = bool(os.environ.get("BPFREE_QUICK"))
small = {"data": "mnist", "epochs": 1, "subset": 2000, "encoder": [4, 8], "crop": 0, "flip": False} if QUICK else {}

rows = []
for name in ("ccl-autoencoder-cifar10", "bp-ccl-autoencoder-cifar10"):
    recipe = reproduce.load(name, seeds=[0], changes=small)
    summary = reproduce.run(recipe)
    print(f"{name}: mean squared error of the test images {summary['figures']['test']['mean']:.4f}")
    model = bpfree.load(Path(summary["folder"]) / "s0")
    images = next(load(recipe.config["data"]).test.batches(10)).x  # (10, C, H, W) in 0..1
    rows = [*(rows or [images]), model.predict(images)]

_, planes, height, width = images.shape
picture = torch.stack(rows).clamp(0, 1).permute(0, 3, 1, 4, 2).reshape(len(rows) * height, 10 * width, planes)
file = Path(summary["folder"]).parent / "reconstructions.png"
Image.fromarray((picture * 255).byte().numpy().squeeze()).save(file)
print(f"given, counter-current, backprop: {file}")
