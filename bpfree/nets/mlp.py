"""Multi-layer perceptron: fully connected layers.

Block k is ``h -> activation(W_k h + b_k)``, ``(B, n_{k-1})`` to ``(B, n_k)``; unless a rule brings its own heads, the
last block is a linear classifier or, for the task reconstruction, a linear map to the shape of the example.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveInt
from torch import nn

from bpfree.config.settings import setting, settings

if TYPE_CHECKING:
    from bpfree.training.data import Spec

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}


@settings
class Settings:
    on_few_rows: ClassVar[Mapping[str, Any]] = {"hidden": (128, 128)}  # see `bpfree.training.small_tables`
    hidden: tuple[PositiveInt, ...] = setting((1000, 1000), "widths of the hidden layers, all positive")
    activation: Literal["relu", "tanh", "gelu", "leaky_relu", "elu"] = setting(
        "relu", "activation of the hidden layers"
    )
    bias: bool = setting(True, "every layer has a bias, the classifier as well")
    init: Literal["torch", "lecun_normal", "he", "sussillo_abbott", "normal", "zero"] = setting(
        "torch", "weights: torch's uniform of variance 1/(3 fan_in), or normal (with zero biases), or all zero"
    )
    init_std: float = setting(0.1, "standard deviation of the weights where init = normal", ge=0)


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks.

    Args:
        spec: description of the data; ``spec.shape`` is flattened.
        settings: of the net.
        hidden_only: leave out the last block, for rules with heads of their own.

    Returns:
        Blocks ``(B, …)`` -> ``(B, n_k)`` and, unless ``hidden_only``, a linear block to ``spec.outputs``.
    """
    sizes = [prod(spec.shape), *settings.hidden]
    blocks: list[nn.Module] = []
    for fan_in, width in pairwise(sizes):
        linear = nn.Linear(fan_in, width, bias=settings.bias)
        if settings.init == "lecun_normal":
            nn.init.normal_(linear.weight, std=fan_in**-0.5)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        blocks.append(nn.Sequential(nn.Flatten(), linear, ACTIVATIONS[settings.activation]()))
    if not hidden_only:
        shape = [nn.Unflatten(1, spec.outputs)] if len(spec.outputs) > 1 else []
        blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(sizes[-1], prod(spec.outputs), bias=settings.bias), *shape))
    if settings.init not in ("torch", "lecun_normal"):
        for linear in (layer for block in blocks for layer in block.modules() if isinstance(layer, nn.Linear)):
            nn.init.normal_(linear.weight, std=weight_std(settings, linear.in_features))
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
    return blocks


def weight_std(settings: Settings, fan_in: int) -> float:
    """Standard deviation of normal weights, the same for the classifier and the hidden layers.

    He et al., arXiv 1502.01852: sqrt(2 / n). Sussillo and Abbott, arXiv 1412.6558, for relu: g / sqrt(n) with
    g = sqrt(2) exp(1.2 / (max(n, 6) - 2.4)), which compensates for the fluctuations of n units.

    Args:
        settings: of the net.
        fan_in: n, number of inputs of the layer.

    Returns:
        The standard deviation.
    """
    he = math.sqrt(2 / fan_in)
    walk = he * math.exp(1.2 / (max(fan_in, 6) - 2.4))
    return {"zero": 0.0, "normal": settings.init_std, "he": he, "sussillo_abbott": walk}[settings.init]
