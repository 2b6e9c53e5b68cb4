"""VGG8b, the net of Nokland & Eidnes."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from bpfree.errors import InputError
from bpfree.nets import vgg8b
from bpfree.training.data import Spec


def spec(*shape: int) -> Spec:
    return Spec("s", shape, 10, None, "classification", "accuracy", True, "", "")


def maps(height: int, width: float) -> list[tuple[int, ...]]:
    h, shapes = torch.zeros(2, 3, height, height), []
    for block in vgg8b.build(spec(3, height, height), vgg8b.Settings(width=width), hidden_only=False):
        h = block(h)
        shapes.append(tuple(h.shape[1:]))
    return shapes


def test_channels_and_maps_are_those_of_the_paper_an_eighth_as_wide():
    """128, 256, pool, 256, 512, pool, 512, pool, 512, pool, 1024, seen before each pooling."""
    assert maps(32, 1 / 8) == [
        (16, 32, 32),
        (32, 32, 32),
        (32, 16, 16),
        (64, 16, 16),
        (64, 8, 8),
        (64, 4, 4),
        (128,),
        (10,),
    ]


def test_the_whole_net_has_as_many_parameters_as_counted_by_hand():
    """3x3 kernels with biases, two numbers a normalised channel, and two linear layers."""
    planes = [3, 128, 256, 256, 512, 512, 512]
    conv = sum(a * b * 9 + b + 2 * b for a, b in pairwise(planes))
    linear = 512 * 2 * 2 * 1024 + 1024 + 2 * 1024 + 1024 * 10 + 10
    blocks = nn.ModuleList(vgg8b.build(spec(3, 32, 32), vgg8b.Settings(), hidden_only=False))
    assert sum(p.numel() for p in blocks.parameters()) == conv + linear


def test_digits_fit_as_well():
    blocks = vgg8b.build(
        Spec("s", (1, 28, 28), 10, None, "", "", True, "", ""), vgg8b.Settings(width=1 / 16), hidden_only=True
    )
    h = torch.zeros(2, 1, 28, 28)
    for block in blocks:
        h = block(h)
    assert h.shape == (2, 64)


def test_dropout_and_pooling_stand_before_the_next_layer():
    """A local loss sees a layer before both."""
    blocks = vgg8b.build(spec(3, 32, 32), vgg8b.Settings(width=1 / 16), hidden_only=False)
    begins = [[type(part) for part in block][: -3 if i < 7 else -1] for i, block in enumerate(blocks)]
    drop, pool = nn.Dropout, nn.MaxPool2d
    assert begins == [[], [drop], [drop, pool], [drop], [drop, pool], [drop, pool], [drop, pool, nn.Flatten], [drop]]


@pytest.mark.parametrize("shape", [(20,), (3, 15, 32)])
def test_small_or_flat_inputs_are_refused(shape):
    with pytest.raises(InputError, match="at least 16x16 pixels, not inputs of shape"):
        vgg8b.build(spec(*shape), vgg8b.Settings(), hidden_only=True)
