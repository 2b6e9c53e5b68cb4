"""Costs of a run on a physical system and on the digital machine next to it: three accounts, never added up."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Costs:
    """Counts. A call is one input vector measured once; a multiply-add is one product in a matrix product.

    Attributes:
        calls: by purpose: ``train``, ``inference`` (validation, test, prediction) and ``fit`` (of a surrogate).
        repeats: calls that were repeated because the instrument failed.
        macs: by purpose: ``train``, ``inference``, and ``surrogate``: fitting it and passing through it.
    """

    calls: dict[str, int] = field(default_factory=lambda: {"train": 0, "inference": 0, "fit": 0})
    repeats: int = 0
    macs: dict[str, int] = field(default_factory=lambda: {"train": 0, "inference": 0, "surrogate": 0})

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls, self.repeats, self.macs = dict(state["calls"]), state["repeats"], dict(state["macs"])


class CountedLinear(nn.Linear):
    """Linear map that counts its multiply-adds: B m n forwards, as many for dW, and for dx where it is needed.

    Args:
        inputs: n, features in.
        outputs: m, features out.
        costs: accounts to count in.
        bias: add a bias.
    """

    def __init__(self, inputs: int, outputs: int, costs: Costs, bias: bool = True):
        super().__init__(inputs, outputs, bias)
        self.costs = costs

    def forward(self, x: Tensor) -> Tensor:
        backward = torch.is_grad_enabled() * (self.weight.requires_grad + x.requires_grad)
        purpose = "train" if self.training else "inference"
        self.costs.macs[purpose] += len(x) * self.weight.numel() * (1 + backward)
        return super().forward(x)
