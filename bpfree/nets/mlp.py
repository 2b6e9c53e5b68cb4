"""Multi-layer perceptron: fully connected layers.

Block k is ``h -> activation(W_k h + b_k)``; unless a rule brings its own heads, a linear classifier is the last block,
or, where the task is to put out the example itself, a linear map of its shape.
"""

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt
from torch import nn

from bpfree.settings import setting, settings

if TYPE_CHECKING:
    from bpfree.data.base import Spec

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}


@settings
class Settings:
    hidden: tuple[PositiveInt, ...] = setting((1000, 1000), "widths of the hidden layers, all positive")
    activation: Literal["relu", "tanh", "gelu", "leaky_relu", "elu"] = setting(
        "relu", "activation of the hidden layers"
    )
    init: Literal["torch", "lecun_normal"] = setting(
        "torch", "weights: torch's uniform of variance 1/(3 fan_in), or normal of variance 1/fan_in with zero biases"
    )


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Blocks for inputs of ``spec.shape`` and, unless ``hidden_only``, outputs of ``spec.outputs``."""
    sizes = [prod(spec.shape), *settings.hidden]
    blocks: list[nn.Module] = []
    for fan_in, width in pairwise(sizes):
        linear = nn.Linear(fan_in, width)
        if settings.init == "lecun_normal":
            nn.init.normal_(linear.weight, std=fan_in**-0.5)
            nn.init.zeros_(linear.bias)
        blocks.append(nn.Sequential(nn.Flatten(), linear, ACTIVATIONS[settings.activation]()))
    if not hidden_only:
        shape = [nn.Unflatten(1, spec.outputs)] if len(spec.outputs) > 1 else []
        blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(sizes[-1], prod(spec.outputs)), *shape))
    return blocks
