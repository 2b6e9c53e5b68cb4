"""Convolutional net: 3x3 convolutions, each followed by an activation and, by default, 2x2 pooling.

Block k is ``h -> pool(activation(norm(conv3x3(h))))``; Mono-Forward's published net has 64, 128, 256 and 512 channels,
relu and average pooling. With ``norm=after-pool`` it is ``h -> norm(pool(activation(conv3x3(h))))``; Cascaded Forward's
published net has 32, 128 and 512 channels, relu, maximum pooling and that order; that of channel-wise Forward-Forward
20, 80, 240 and 480, where every second convolution pools (``pool_every`` 2) and has ``groups``, one for each class.
Unless a rule brings its own heads, a linear classifier on the flattened map is the last block.
"""

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import PositiveInt
from torch import nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.nets._norm import BatchNorm2d
from bpfree.nets.mlp import ACTIVATIONS

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings:
    channels: tuple[PositiveInt, ...] = setting((64, 128, 256, 512), "channels of the convolutions, all positive")
    activation: Literal["relu", "tanh", "gelu", "leaky_relu", "elu"] = setting("relu", "activation of the convolutions")
    bias: bool = setting(True, "every layer has a bias, the classifier as well")
    groups: int = setting(1, "number of groups of channels that every second convolution keeps apart", ge=1)
    pool: Literal["avg", "max"] = setting("avg", "pooling after a convolution")
    pool_every: int = setting(1, "number of convolutions for each pooling", ge=1)
    norm: Literal["none", "batch", "after-pool"] = setting(
        "none", "batch normalisation: none, between convolution and activation, or after pooling"
    )


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks.

    Args:
        spec: description of the data; ``spec.shape`` is (channels, height, width).
        settings: of the net.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        Blocks ``(B, channels, height, width)`` -> maps and, unless ``hidden_only``, the classifier of the last map.

    Raises:
        InputError: inputs that are no images or too small for the poolings, or groups that do not divide the channels
    """
    if len(spec.shape) != 3:
        raise InputError(
            f"net cnn needs images (channels, height, width), not inputs of shape {spec.shape}: try --net mlp"
        )
    if len(spec.outputs) > 1 and not hidden_only:
        raise InputError(f"net cnn ends in one score a class, not in {spec.outputs}: try --net autoencoder or mlp")
    planes, height, width = spec.shape
    poolings = len(settings.channels) // settings.pool_every
    if min(height, width) >> poolings == 0:
        raise InputError(f"{poolings} poolings leave nothing of {height}x{width} pixels: use fewer --channels")
    pool = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[settings.pool]
    blocks: list[nn.Module] = []
    for number, channels in enumerate(settings.channels, 1):
        groups = settings.groups if number % 2 == 0 else 1
        if planes % groups or channels % groups:
            raise InputError(f"{groups} groups do not divide {planes} and {channels} channels: use other --channels")
        conv = nn.Conv2d(planes, channels, 3, padding=1, bias=settings.bias, groups=groups)
        parts = [conv, ACTIVATIONS[settings.activation](), *([] if number % settings.pool_every else [pool(2)])]
        if settings.norm != "none":
            parts.insert(1 if settings.norm == "batch" else len(parts), BatchNorm2d(channels))
        block = nn.Sequential(*parts)
        # channels last: on a CPU maximum pooling in bfloat16 is up to twice as fast, average pooling slower
        if settings.pool == "max":
            block.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        blocks.append(block)
        planes = channels
    if not hidden_only:
        pixels = (height >> poolings) * (width >> poolings)
        blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(planes * pixels, spec.outputs[0], bias=settings.bias)))
    return blocks
