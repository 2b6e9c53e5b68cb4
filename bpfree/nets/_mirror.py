"""The feedback net of a net: block by block the other way, with weights of its own."""

import copy
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from torch import nn

from bpfree.errors import InputError
from bpfree.nets.mlp import ACTIVATIONS

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def mirror(blocks: Iterable[nn.Module], shapes: Sequence[tuple[int, ...]]) -> list[nn.Module]:
    """For every block one that maps the shape it puts out back to the shape that it takes.

    A fully connected layer is mirrored by one of the transposed shape; a convolution that makes maps smaller (stride,
    pooling) by nearest-neighbour upsampling and a convolution, one that follows upsampling by a convolution with a
    stride. Normalisation and activation are those of the level that the mirrored block leads to, so that the pair there
    is made alike; the one that leads to the input has neither.

    Args:
        blocks: each with one `nn.Linear` or `nn.Conv2d`, and otherwise without weights but for batch normalisation.
        shapes: of one example: the input, then what every block puts out.

    Raises:
        InputError: a block of another kind.
    """
    below, mirrored = nn.Module(), list[nn.Module]()
    for k, block in enumerate(blocks):
        mirrored.append(nn.Sequential(*_layers(k, block, shapes[k], shapes[k + 1]), *_finish(below, shapes[k])))
        below = block
    return mirrored


def _layers(k: int, block: nn.Module, into: tuple[int, ...], out: tuple[int, ...]) -> list[nn.Module]:
    """From ``out``, what the block puts out, to ``into``, what it takes."""
    weighted = [m for m in block.modules() if [*m.parameters(recurse=False)] and not isinstance(m, _NORMS)]
    if len(weighted) != 1 or not isinstance(weighted[0], nn.Linear | nn.Conv2d):
        held = ", ".join(type(m).__name__ for m in weighted) or "no layer with weights"
        raise InputError(f"block {k} holds {held}: a feedback net mirrors blocks of one Linear or Conv2d each")
    layer: Any = weighted[0]
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        shape = [nn.Unflatten(1, into)] if len(into) > 1 else []
        return [nn.Flatten(), nn.Linear(prod(out), prod(into), bias=bias), *shape]
    (planes, *large), (small, *less), size = into, out, layer.kernel_size[0]
    grown = [max(pair) for pair in zip(large, less, strict=False)]  # pixels that the convolution takes
    stride = [-(-a // b) for a, b in zip(grown, large, strict=False)]
    given = [-(-a // step) for a, step in zip(grown, stride, strict=True)]
    if given != large or layer.kernel_size != (size, size) or size % 2 == 0:
        raise InputError(f"block {k}, a convolution from {into} to {out}, has no mirror: give it a square, odd kernel")
    grow = [nn.Upsample(tuple(grown))] if grown != less else []
    return [
        *grow,
        nn.Conv2d(small, planes, size, (stride[0], stride[1]), padding=size // 2, groups=layer.groups, bias=bias),
    ]


def _finish(below: nn.Module, shape: tuple[int, ...]) -> list[nn.Module]:
    """Normalisation and activation of the level that the block ``below`` puts out, anew."""
    norms = [m for m in below.modules() if isinstance(m, _NORMS)]
    active = [m for m in below.modules() if isinstance(m, tuple(ACTIVATIONS.values()))]
    return [*(type(m)(shape[0], affine=m.affine) for m in norms), *map(copy.deepcopy, active)]
