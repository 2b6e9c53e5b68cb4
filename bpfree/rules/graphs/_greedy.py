"""Base of the rules on graphs: the paper's protocol, graph layers, and layers that train one after another."""

from torch import nn

from bpfree.errors import InputError
from bpfree.graphs.graph import Memo
from bpfree.nets.gnn import Layer
from bpfree.training.trainer import Phase, Trainer

# how the paper trains every variant
PROTOCOL = {
    "epochs": 1000,
    "patience": 200,
    "validate_every": 2,
    "weight_decay": 5e-4,
    "row_norm": True,
    "lr_schedule": "constant",
}
BECAUSE = {
    (
        "epochs",
        "patience",
        "lr_schedule",
    ): "the paper's: a step is one batch, the whole graph, until it stops improving",
    ("weight_decay",): "the paper's",
}
READOUT = "summed over all layers, or over the first 1, 2, …"


class GreedyGraph(Trainer):
    """Layer k trains to its early stop, then stays as it is; any number of the first layers can be read alone."""

    data = "cora"
    because = BECAUSE
    hidden_only = True
    batch_separable = False  # a graph is not shared out

    def setup(self) -> None:
        need_graph_layers(self)
        if self.settings.readout not in self.readouts:
            raise InputError(f"readout = {self.settings.readout!r}: choose from {', '.join(self.readouts)}")
        self.once = Memo()

    @property
    def readouts(self) -> tuple[str, ...]:
        return "all", *map(str, range(1, len(self.blocks)))

    def phases(self, epochs: int) -> list[Phase]:
        return [Phase(f"layer {k + 1}", (k,), epochs) for k in range(len(self.blocks))]

    def read(self) -> list[Layer]:
        """The layers that a prediction sums over."""
        layers, readout = [layer_of(block) for _, block in self.trained], self.settings.readout
        return layers if readout == "all" else layers[: int(readout)]


def layer_of(block: nn.Module) -> Layer:
    """``block``, which `need_graph_layers` has seen."""
    assert isinstance(block, Layer)
    return block


def need_graph_layers(trainer: Trainer) -> None:
    """InputError unless the blocks are layers of net ``gnn``."""
    if not all(isinstance(block, Layer) for block in trainer.blocks):
        raise InputError(f"{type(trainer).__name__} needs graph layers: use --net gnn, or bpfree.nets.gnn.Layer")
