"""Random features: relu of a fixed random matrix as a digital control in the place of physics, each with a linear map.

Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007.

y = relu(G a),   G_mn = N(0, 1) sqrt(2 / N),   a = x / max|x|
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(PhysicalSettings):
    outputs: int | None = setting(None, "number of features (none: as many as inputs)", ge=1)


class RandomFeatures(System):
    """Digital control: a layer of the same shape without physics and without training.

    Args:
        settings: of the net.
        inputs: N, number of values.
    """

    simulated = False

    def __init__(self, settings: Settings, inputs: int):
        super().__init__(settings, inputs, settings.outputs or inputs)
        self.add("G", self.draw("G", self.outputs, inputs, dtype=torch.float64) * math.sqrt(2 / inputs))

    def count(self, purpose: str, rows: int) -> None:
        self.costs.macs["surrogate" if purpose == "fit" else purpose] += rows * self.inputs * self.outputs

    def respond(self, e: Tensor) -> Tensor:
        return (e @ self.at("G", e).mT).relu()


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the layers around one system.

    Args:
        spec: description of the data; ``spec.shape`` is flattened.
        settings: of the net.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        Physical layers ``(B, …)`` -> ``(B, hidden_k)`` and, unless ``hidden_only``, a linear classifier.

    Raises:
        InputError: the ports or layers do not fit the system
    """
    return layers(RandomFeatures(settings, needed_ports(spec, settings)), spec, hidden_only)
