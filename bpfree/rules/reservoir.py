"""Reservoir: a ridge regression on what a physical system puts out. The control without any training inside.

Also called extreme learning machine where nothing recurs (Huang, Zhu, Siew, Neurocomputing 70, 2006). The linear maps
between the passes stay as drawn; the last measurement s is read out in closed form, in one pass over the data:

    V = (S^T S + lambda mean(diag(S^T S)) I)^{-1} S^T Y,      s = [P(h_{L-1}); 1]  in double precision

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
P             ``blocks[k].external``  (B, inputs) -> (B, m)
V             ``readout``             (m + 1, C)
============  ======================  ==========

Tasks: classification, regression.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``.
Differences from the paper: none known; with ``bypass=beside`` the readout sees the input of the last pass too.
Costs: one physical call a layer, sample and epoch; no gradients; one solve an epoch. No checkpoint holds the
sums of an epoch: a run that was stopped within one begins it again, and measures again.
"""

from collections.abc import Hashable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.functional.closed_form import StreamedRidge
from bpfree.nets.physical.layer import PhysicalLayer, physical_layers
from bpfree.rules._ridge import solve, target_columns
from bpfree.training.trainer import Batch, Local, Phase, RuleSettings, Trainer


@settings
class Settings(RuleSettings):
    ridge: float = setting(1e-3, "lambda, as a share of the mean squared feature", gt=0, search=(1e-6, 1.0, "log"))


class Reservoir(Trainer):
    """Nothing but a linear readout learns."""

    Settings = Settings
    tasks = ("classification", "regression")
    data = "vowels"
    net = "acoustic"
    image_net = "optics"
    hidden_only = True
    min_steps = 0  # solved, not stepped
    not_for = (
        "tables: the readout sees no input but as intensities of fixed random mixtures, so that what is linear in the "
        "inputs is lost in part (--bypass beside has them too)"
    )
    prefer = {"epochs": 1, "batch_size": 1000, "normalize": "positive", "bypass": "none"}
    because = {
        ("epochs",): "the readout is solved in closed form when one pass ends",
        ("batch_size",): "no step is taken, so that only speed depends on it",
    }

    def setup(self) -> None:
        self.layers: list[PhysicalLayer] = physical_layers(self.blocks)
        for module in [m for m in self.modules() if isinstance(m, nn.Linear)]:
            for name, p in list(module.named_parameters(recurse=False)):  # fixed, so not parameters any more
                delattr(module, name)
                module.register_buffer(name, p.detach())
        m = self.layers[-1].linear.in_features + 1
        self.readout = nn.Parameter(torch.zeros(m, *self.spec.outputs, dtype=torch.float64), requires_grad=False)

    def solved(self) -> list[nn.Parameter]:
        return [self.readout]

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        return {}

    def phases(self, epochs: int) -> list[Phase]:
        return [Phase("all", range(len(self.blocks)), epochs, restart=True)]

    def on_pass(self) -> None:
        self.sums = StreamedRidge(*self.readout.shape)

    def features_of(self, x: Tensor) -> Tensor:
        """Features s of every row: ``(B, m + 1)``."""
        for layer in self.layers[:-1]:
            x = layer(x)
        return F.pad(self.layers[-1].sense(x), (0, 1), value=1.0)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        if not batch.padding:
            s = self.features_of(batch.x)
            self.sums.add(s, target_columns(batch.y, self.spec))
            self.count("train", len(s) * s.shape[1] * (s.shape[1] + self.readout.shape[1]))
        yield from ()

    def on_epoch(self) -> None:
        self.readout.copy_(solve(self.sums, self.settings.ridge, "the readout", self.readout.device))

    def predict(self, batch: Batch) -> Tensor:
        s = self.features_of(batch.x).double()
        self.count("inference", len(s) * self.readout.numel())
        return s @ self.readout

    def count(self, purpose: str, macs: int) -> None:
        """Add to the account of digital operations.

        Args:
            purpose: ``train`` or ``inference``.
            macs: multiply-adds.
        """
        self.layers[-1].external.costs.macs[purpose] += macs
