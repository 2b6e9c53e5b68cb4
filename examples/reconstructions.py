"""Images, and what autoencoders trained by counter-current learning and by backpropagation make of them.

    python examples/reconstructions.py

Runs the recipes ``ccl-autoencoder-cifar10`` and ``bp-ccl-autoencoder-cifar10``, or reads them from
``runs/reproduce`` when they have been run, and draws ten test images in three rows: inputs, counter-current, backprop.
"""

import os
from pathlib import Path

import torch
from PIL import Image

import bpfree
from bpfree.data import load
from bpfree.runs import recipes

QUICK = bool(os.environ.get("BPFREE_QUICK"))
small = {"data": "mnist", "epochs": 1, "subset": 2000, "encoder": [4, 8], "crop": 0, "flip": False} if QUICK else {}

rows = []
for name in ("ccl-autoencoder-cifar10", "bp-ccl-autoencoder-cifar10"):
    recipe = recipes.load(name, changes=small)
    folder = Path(recipes.run(recipe)["folder"])
    model = bpfree.load(folder / "s0")
    pixels = model.record["data"]["input"]
    offset, scale = (torch.tensor(pixels[key], dtype=torch.float32) / 255 for key in ("offset", "scale"))
    errors = []
    for batch in load(recipe.config["data"]).test.batches(500):  # (B, C, H, W) in 0..1
        images = batch.x.clone()
        made = model.predict(images) * scale + offset  # back from normalised to pixels
        errors.append((made - images).square().mean((1, 2, 3)))
        if len(errors) == 1:
            rows = [*(rows or [images[:10]]), made[:10]]
    print(f"{name}: mean squared error of the test images {torch.cat(errors).mean():.4f}, of pixels in 0..1")

_, planes, height, width = images.shape
picture = torch.stack(rows).clamp(0, 1).permute(0, 3, 1, 4, 2).reshape(len(rows) * height, 10 * width, planes)
file = folder.parent / "reconstructions.png"
Image.fromarray((picture * 255).byte().numpy().squeeze()).save(file)
print(f"inputs, counter-current, backprop: {file}")
