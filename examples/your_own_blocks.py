"""Train blocks of your own on data of your own: any list of modules, any arrays.

    python examples/your_own_blocks.py

Here: two convolutions and a fully connected layer on bright quadrants, each trained by Mono-Forward on its own.
"""

import torch
from torch import nn

from bpfree import Batch
from bpfree.rules.mono_forward import MonoForward

generator = torch.Generator().manual_seed(0)
y = torch.randint(4, (4000,), generator=generator)
x = torch.rand(4000, 1, 16, 16, generator=generator)
for quadrant in range(4):  # the class is the quadrant that is brighter
    row, column = divmod(quadrant, 2)
    x[y == quadrant, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 0.1

blocks = [
    nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
    nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
    nn.Sequential(nn.Flatten(), nn.Linear(512, 64), nn.ReLU()),
]
trainer = MonoForward(blocks, epochs=3, lr=2e-3)
for entry in trainer.fit((x, y), seed=0, threads=1):
    print(f"epoch {entry['epoch']}: validation accuracy {entry['val']:.3f}, loss by block {entry['loss']}")
print("classes of three rows:", trainer.predict(Batch(x[:3])).argmax(1).tolist(), "true:", y[:3].tolist())
