"""VGG8b: six 3x3 convolutions and a hidden layer, with batch norm and dropout, for images from 16x16 up.

The net of Nokland & Eidnes, arXiv 1901.06656: 128, 256, pool, 256, 512, pool, 512, pool, 512, pool channels, then 1024
units. A block is ``h -> activation(norm(layer(pool(dropout(h)))))``: dropout and pooling of a layer's output are at the
beginning of the next block, so that a local loss sees the layer before both, as in the paper.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.nets._norm import BatchNorm1d, BatchNorm2d

if TYPE_CHECKING:
    from bpfree.training.data import Spec

_CHANNELS = (128, 256, 256, 512, 512, 512)
_POOLED = (False, False, True, False, True, True)  # the input of the layer is pooled
_UNITS = 1024


@settings
class Settings:
    width: float = setting(1.0, "factor on the numbers of channels and units", gt=0)
    dropout: float = setting(0.2, "share of a layer's output that is dropped", ge=0, lt=1)
    slope: float = setting(0.01, "slope of the activation below zero (0: relu)", ge=0, lt=1)


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks.

    Args:
        spec: description of the data; ``spec.shape`` is (channels, height, width), both sides at least 16.
        settings: of the net.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        Six convolutional blocks, the hidden layer ``(B, units)`` and, unless ``hidden_only``, the classifier.

    Raises:
        InputError: inputs that are no images of that size
    """
    if len(spec.shape) != 3 or min(spec.shape[1:]) < 16:
        raise InputError(f"net vgg8b needs images of at least 16x16 pixels, not inputs of shape {spec.shape}")
    channels = [max(1, round(settings.width * n)) for n in _CHANNELS]
    units = max(1, round(settings.width * _UNITS))
    planes, height, width = spec.shape
    blocks: list[nn.Module] = []
    for n, pooled in zip(channels, _POOLED, strict=True):
        parts: list[nn.Module] = [nn.Dropout(settings.dropout)] if blocks else []
        if pooled:
            parts.append(nn.MaxPool2d(2))
        parts += [nn.Conv2d(planes, n, 3, padding=1), BatchNorm2d(n), nn.LeakyReLU(settings.slope)]
        blocks.append(nn.Sequential(*parts).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        planes = n
    hidden = nn.Linear(planes * (height >> 4) * (width >> 4), units)
    parts = [nn.Dropout(settings.dropout), nn.MaxPool2d(2), nn.Flatten(), hidden]
    blocks.append(nn.Sequential(*parts, BatchNorm1d(units), nn.LeakyReLU(settings.slope)))
    if not hidden_only:
        blocks.append(nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(units, spec.outputs[0])))
    return blocks
