"""Convolutional autoencoder: maps halve and then double again; for the task reconstruction.

Block k of the encoder is ``h -> relu(norm(conv3x3(h)))`` with stride 2; a decoder block is nearest-neighbour upsampling
to the input size of the mirrored encoder block, then the same without stride; the last block is linear. The net of
counter-current learning (arXiv 2409.19841), where 96x96 images go through 128, 256, 1024 and 2048 channels.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import PositiveInt
from torch import nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.nets._norm import BatchNorm2d

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings:
    encoder: tuple[PositiveInt, ...] = setting(
        (128, 256, 1024, 2048), "channels of the encoder's convolutions, all positive; the decoder mirrors them"
    )


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks from images to images of the same shape.

    Args:
        spec: description of the data; ``spec.shape`` is (channels, height, width).
        settings: of the net.
        hidden_only: not possible, since the net has no classifier.

    Returns:
        The blocks of the encoder, then those of the decoder.

    Raises:
        InputError: another task, inputs that are no images, or no channels
    """
    if spec.task != "reconstruction" or hidden_only:
        raise InputError(
            f"net autoencoder reconstructs images, the task here is {spec.task}: try --task reconstruction"
        )
    if len(spec.shape) != 3:
        raise InputError(f"net autoencoder takes images (channels, height, width), not {spec.shape}: try --net mlp")
    if not settings.encoder:
        raise InputError("encoder = () is not valid: expected at least one number of channels")
    planes = [spec.shape[0], *settings.encoder]
    sizes: list[tuple[int, ...]] = [spec.shape[1:]]
    for _ in settings.encoder:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    encoder: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), BatchNorm2d(b, affine=False), nn.ReLU())
        for a, b in pairwise(planes)
    ]
    decoder: list[nn.Module] = [
        nn.Sequential(
            nn.Upsample(size),
            nn.Conv2d(b, a, 3, padding=1, bias=False),
            *([BatchNorm2d(a, affine=False), nn.ReLU()] if k else []),
        )
        for k, (a, b, size) in reversed(list(enumerate(zip(planes, planes[1:], sizes, strict=False))))
    ]
    initialise([*encoder, *decoder])
    return [*encoder, *decoder]


def initialise(blocks: Iterable[nn.Module]) -> None:
    """Set orthogonal kernels, times 0.001 after an upsampling; zero in the linear block, which makes the image."""
    for block in blocks:
        kernels = [m.weight for m in block.modules() if isinstance(m, nn.Conv2d)]
        grows = any(isinstance(m, nn.Upsample) for m in block.modules())
        linear = not any(isinstance(m, nn.ReLU) for m in block.modules())
        for kernel in kernels:
            if linear:
                nn.init.zeros_(kernel)
            else:
                nn.init.orthogonal_(kernel, 0.001 if grows else 1.0)
