"""Spiking nets with learned delays: backpropagation through time with a surrogate gradient, weights and delays.

Hammouamri, Khalfaoui-Hassani, Masquelier, "Learning Delays in Spiking Neural Networks using Dilated Convolutions with
Learnable Spacings", ICLR 2024, arXiv 2306.17670. This is backpropagation, through all layers and all time: it is here
as the temporal member and as the base of ``delay-snn-local``, which is local. v is the readout's membrane:

    m = sum_t softmax(v[t]),   L = CE(softmax(m), y),   prediction argmax m

Weights and positions are two owners: positions learn at a rate of their own, without decay. The net keeps them within
the taps after every step and narrows its bumps after every epoch (`bpfree.nets.delay_snn.Synapses`: ``constrain``,
``anneal``); at test they are single taps.

============  ================================  ==========
symbol        attribute                         shape
============  ================================  ==========
w             ``blocks[k].synapses.weight``     (n_k, S, C)
P             ``blocks[k].synapses.position``   (n_k, S, C), delays K//2 - P steps
s             ``blocks[k].synapses.width``      (), plus 0.27: of all bumps of a layer, in steps
============  ================================  ==========

Tasks: classification; regression, where m is the mean over time (or maximum) of v, and L the mean squared error.
Shapes: ``batch.x (B, T, N)`` spike counts, ``batch.y (B,)`` -> scores ``(B, C)``; for regression a number a target.
Differences from the paper: schedules move with every batch, not once an epoch, and leave Adam's momentum alone; the
kernel is normalised without the 1e-7 in its denominator; absent synapses of a sparse net have no weights, and those
there begin at a range that fits their number; the state is chosen on validation data, never on test data.
Costs: one forward pass a step and a prediction; every layer keeps its activity at all T steps until backward. A
prediction's spikes and operations are in the record, with an energy modelled from them in a field of its own.
"""

import dataclasses
from collections.abc import Hashable, Iterator

from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.nets.delay_snn import Synapses, operations
from bpfree.rules.backprop import LOSSES
from bpfree.training.optimizers import OptimSettings, Schedule
from bpfree.training.trainer import Batch, Local, RuleSettings, Trainer

POSITIONS = "positions"  # begins the name of an owner of positions


@settings
class Settings(RuleSettings):
    position_lr: float = setting(0.1, "learning rate of the positions", unit="steps", gt=0, search=(0.01, 0.3, "log"))
    position_schedule: Schedule = setting("cosine", "learning rate of the positions over a phase, as lr_schedule")


class DelaySnn(Trainer):
    """One loss through all layers and all time; weights and positions step each in their own way."""

    Settings = Settings
    tasks = ("classification", "regression")
    net = "delay-snn"
    prefer = {
        "lr": 5e-3,
        "lr_schedule": "one-cycle",
        "weight_decay": 1e-5,
        # a net that suits images read row by row, 28 steps; that of the paper is in the recipes
        "hidden": (128, 128),
        "max_delay_ms": 70.0,
        "start_width": 1.0,
        "padding": "causal",
        "dropout": 0.1,
    }
    because = {("lr", "lr_schedule", "weight_decay"): "the paper's"}

    def setup(self) -> None:
        if not any(isinstance(module, Synapses) for module in self.blocks.modules()):
            raise InputError("delay-snn and delay-snn-local train spiking nets: use --net delay-snn")

    @property
    def chain(self) -> list[nn.Module]:
        """The blocks that a prediction goes through."""
        return list(self.blocks)

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        return shared_out(self, "weights", POSITIONS)

    def optim(self, owner: Hashable) -> OptimSettings:
        options = self.settings
        if not str(owner).startswith(POSITIONS):
            return options
        positions = {"lr": options.position_lr, "lr_schedule": options.position_schedule, "weight_decay": 0.0}
        return dataclasses.replace(options, **positions)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        yield Local(LOSSES[self.spec.task](self.scores(batch.x), batch.y), owner=None)

    def scores(self, h: Tensor) -> Tensor:
        for block in self.chain:
            h = block(h)
        return h

    def predict(self, batch: Batch) -> Tensor:
        return self.scores(batch.x)

    def operations(self, batch: Batch) -> dict[str, float]:
        return operations(self.chain, batch.x)


def shared_out(net: nn.Module, weights: Hashable, positions: Hashable) -> dict[Hashable, list[nn.Parameter]]:
    """Divide the parameters of a net between two owners.

    Args:
        net: the net.
        weights: key of the owner of weights and normalisations.
        positions: key of the owner of positions, left out if these do not learn.

    Returns:
        Owner -> parameters.
    """
    owners: dict[Hashable, list[nn.Parameter]] = {weights: [], positions: []}
    for name, p in net.named_parameters():
        owners[positions if name.endswith("synapses.position") else weights].append(p)
    return {key: params for key, params in owners.items() if params}
