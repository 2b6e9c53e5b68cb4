"""Feedback net of a net: every block mirrored, with weights of its own."""

import copy
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from torch import nn

from bpfree.errors import InputError
from bpfree.nets.mlp import ACTIVATIONS

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def mirror(blocks: Iterable[nn.Module], shapes: Sequence[tuple[int, ...]]) -> list[nn.Module]:
    """Build for every block one that maps its output shape back to its input shape.

    A fully connected layer is mirrored by one of the transposed shape; a convolution that makes maps smaller (stride,
    pooling) by nearest-neighbour upsampling and a convolution, one that follows upsampling by a convolution with a
    stride. Normalisation and activation are those of the level that the mirrored block leads to, so that both nets
    treat a level alike; the block that leads to the input has neither.

    Args:
        blocks: each with one `nn.Linear` or `nn.Conv2d`, and otherwise without weights but for batch normalisation.
        shapes: shape of one example at the input, then at the output of every block.

    Returns:
        One block for each, in the same order.

    Raises:
        InputError: a block of another kind.
    """
    below, mirrored = nn.Module(), list[nn.Module]()
    for k, block in enumerate(blocks):
        mirrored.append(nn.Sequential(*_layers(k, block, shapes[k], shapes[k + 1]), *_finish(below, shapes[k])))
        below = block
    return mirrored


def _layers(k: int, block: nn.Module, into: tuple[int, ...], out: tuple[int, ...]) -> list[nn.Module]:
    """Layers from ``out``, the output shape of the block, to ``into``, its input shape."""
    weighted = [m for m in block.modules() if [*m.parameters(recurse=False)] and not isinstance(m, _NORMS)]
    if len(weighted) != 1 or not isinstance(weighted[0], nn.Linear | nn.Conv2d):
        kinds = ", ".join(type(m).__name__ for m in weighted) or "no layer with weights"
        raise InputError(f"block {k} holds {kinds}: a feedback net mirrors blocks of one Linear or Conv2d each")
    layer: Any = weighted[0]
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        shape = [nn.Unflatten(1, into)] if len(into) > 1 else []
        return [nn.Flatten(), nn.Linear(prod(out), prod(into), bias=bias), *shape]
    (planes, *large), (small, *less), size = into, out, layer.kernel_size[0]
    grown = [max(pair) for pair in zip(large, less, strict=False)]  # side lengths at the input of the convolution
    stride = [-(-a // b) for a, b in zip(grown, large, strict=False)]
    sides = [-(-a // step) for a, step in zip(grown, stride, strict=True)]  # and at its output
    if sides != large or layer.kernel_size != (size, size) or size % 2 == 0:
        raise InputError(
            f"block {k}, a convolution from {into} to {out}, cannot be mirrored: use a square kernel of odd size"
        )
    grow = [nn.Upsample(tuple(grown))] if grown != less else []
    return [
        *grow,
        nn.Conv2d(small, planes, size, (stride[0], stride[1]), padding=size // 2, groups=layer.groups, bias=bias),
    ]


def _finish(below: nn.Module, shape: tuple[int, ...]) -> list[nn.Module]:
    """New normalisation and activation of the kind that the block ``below`` ends with."""
    norms = [m for m in below.modules() if isinstance(m, _NORMS)]
    active = [m for m in below.modules() if isinstance(m, tuple(ACTIVATIONS.values()))]
    return [*(type(m)(shape[0], affine=m.affine) for m in norms), *map(copy.deepcopy, active)]
