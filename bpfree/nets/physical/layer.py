"""Layers of a physical system and a linear map.

    z_t = W_t s_t + c_t,        s_t = [P(h_{t-1}); h_{t-1}]  or  P(h_{t-1})  or  h_{t-1}

h_{t-1} may be narrower than the system or the layer: zeros are put in front, where a rule may write labels. There is no
other nonlinearity. Source: Momeni, Rahmani, Malléjac, del Hougne, Fleury, arXiv 2304.11042.
"""

import itertools
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.errors import InputError
from bpfree.functional.precision import outside_autocast
from bpfree.nets.physical.costs import CountedLinear
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System

if TYPE_CHECKING:
    from bpfree.training.data import Spec


def widen(h: Tensor, width: int) -> Tensor:
    """Pad features with zeros in front.

    Args:
        h: ``(B, n)``.
        width: at least n.

    Returns:
        ``(B, width)``.
    """
    return F.pad(h, (width - h.shape[1], 0))


class PhysicalLayer(nn.Module):
    """Pass through the system, then a linear map: ``(B, …)`` to ``(B, outputs)``.

    Args:
        system: shared by the layers of a net.
        width: number of features in.
        outputs: number of features out.
    """

    def __init__(self, system: System, width: int, outputs: int):
        super().__init__()
        self.external, self.width = system, width
        seen = {"none": system.outputs, "only": width, "beside": system.outputs + width}[system.settings.bypass]
        self.linear = CountedLinear(seen, outputs, system.costs)

    def sense(self, h: Tensor) -> Tensor:
        """Input s_t of the linear map for ``h (B, …)``."""
        h = widen(h.flatten(1), self.width)
        bypass = self.external.settings.bypass
        if bypass == "only":
            return h
        with outside_autocast(h):  # an external system knows no bfloat16
            y = self.physics(widen(h.float() if h.dtype == torch.bfloat16 else h, self.external.inputs))
        return y if bypass == "none" else torch.cat([y, h], 1)

    def physics(self, h: Tensor) -> Tensor:
        """P(h), as the route of the net says."""
        route, learning = self.external.settings.route, self.training or self.external.learning
        if route == "in-silico" and learning:
            return self.external.gradient_path(h)
        y = self.external.measure(h, "train" if learning else "inference")
        if route == "blind" or not (torch.is_grad_enabled() and h.requires_grad):
            return y
        path = self.external.gradient_path(h)
        return path + (y - path).detach()  # the value of y, the gradient of the path

    def forward(self, h: Tensor) -> Tensor:
        return self.linear(self.sense(h))


def physical_layers(blocks: nn.ModuleList) -> list[PhysicalLayer]:
    """Blocks of a rule that needs a physical system.

    Raises:
        InputError: a block without one.
    """
    physical = [block for block in blocks if isinstance(block, PhysicalLayer)]
    if len(physical) != len(blocks):
        raise InputError("this rule trains with a physical system: choose --net optics, acoustic, instrument, …")
    return physical


def needed_ports(spec: "Spec", settings: PhysicalSettings) -> int:
    """Number of inputs of the system.

    Args:
        spec: description of the data; ``spec.shape`` is flattened.
        settings: of the net.

    Returns:
        ``settings.ports``, or by default as many as the layers need.

    Raises:
        InputError: fewer ports than the layers need.
    """
    needed = max(prod(spec.shape), *settings.hidden[:-1], 1)
    if settings.ports is not None and settings.ports < needed:
        raise InputError(f"ports = {settings.ports} is not valid: the layers put {needed} values into the system")
    return settings.ports or needed


def layers(system: System, spec: "Spec", hidden_only: bool) -> list[nn.Module]:
    """Build the layers around one system.

    Args:
        system: shared by all layers.
        spec: description of the data; ``spec.shape`` is flattened.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        A layer for each of ``hidden`` and, unless ``hidden_only``, a linear classifier.

    Raises:
        InputError: no layers, or settings that do not fit the system.
    """
    settings = system.settings
    if not settings.hidden:
        raise InputError("hidden is empty: expected the outputs of at least one layer, such as 20,20")
    if system.inputs < (needed := needed_ports(spec, settings)):
        raise InputError(
            f"the system takes {system.inputs} values but the layers put {needed} into it: use fewer --hidden"
        )
    if settings.bypass == "beside" and system.inputs != system.outputs:
        raise InputError(
            f"a bypass needs as many outputs as inputs, the system has {system.inputs} in and {system.outputs} out: "
            "use --bypass none"
        )
    if settings.route == "oracle" and not system.differentiable:
        raise InputError("this system has no gradient that an oracle could use: choose --route physics-aware")
    changes = settings.drift or settings.hit
    if changes and not system.simulated:
        raise InputError("drift and hit apply to simulated systems, this one is not: leave them at 0")
    widths = [prod(spec.shape), *settings.hidden]
    blocks: list[nn.Module] = [PhysicalLayer(system, n, m) for n, m in itertools.pairwise(widths)]
    if not hidden_only:
        blocks.append(CountedLinear(widths[-1], spec.outputs[0], system.costs))
    return blocks
