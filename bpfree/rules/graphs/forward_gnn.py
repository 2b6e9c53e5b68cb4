"""ForwardGNN, single forward (SF): virtual nodes are class prototypes, and every layer learns on its own.

Park, Wang, Simoulin, Yang, Yang, Rossi, Trivedi, Ahmed, "Forward Learning of Graph Neural Networks", ICLR 2024, arXiv
2403.11004, section 3.2, Algorithm 2; links: section 3.4. The graph gets one virtual node a class, joined to the
training nodes of that class. Layer l is trained to its early stop, then frozen:

    h_l = relu(conv_l(rownorm(h_{l-1}), G')),   R = h_l[:N],   C = h_l[N:]

    L_l = mean over training nodes of CE(<R_i, C> / tau, y_i),   P_i = sum_l softmax(<R_i^l, C^l> / tau)

    links, for pairs of nodes:  L_l = BCE(sum_d h_ud h_vd, linked)  (``link_loss = ce``)  or the goodness form  (``ff``)

============  =======================  ==========
symbol        attribute                shape
============  =======================  ==========
conv_l        ``blocks[l]``            a layer of net ``gnn``
G'            ``batch.graph``          N real and K virtual nodes
h_0           ``batch.x``              (N + K, F), the last K rows random and never trained
============  =======================  ==========

Tasks: classification of nodes, prediction of links.
Shapes: ``batch.x (N + K, F)``, ``batch.y (B,)`` of the nodes ``batch.index (B,)`` -> class scores ``(B, K)``; links:
``batch.y (B,)`` of the pairs ``batch.graph.pairs`` -> scores ``(B,)``.
Differences from the paper: biases do not decay; ``sample`` learns from batches of training nodes with ``fan_out`` drawn
neighbours each (one layer deep, as the layers below are frozen), which is the full batch's loss when all are taken.
Costs: one forward pass a step and a prediction. A frozen layer's output is computed once a phase; with ``reuse`` so is
what a GCN or SAGE layer gathers from it, for the nodes in the loss alone, with sparse features left sparse, and so are
the frozen layers' probabilities in validation.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.nets.gnn import Layer
from bpfree.rules.graphs._criteria import CriterionSettings, criterion_for
from bpfree.rules.graphs._greedy import PROTOCOL, READOUT, GreedyGraph, layer_of
from bpfree.training.trainer import Batch, Local


@settings
class Settings(CriterionSettings):
    reuse: bool = setting(True, "compute what a layer's fixed input implies once; off: in every step, the same weights")
    readout: str = setting("all", "probabilities " + READOUT)


class ForwardGNN(GreedyGraph):
    """Each layer classifies nodes by virtual nodes, or scores links, and stays as it is once trained."""

    Settings = Settings
    tasks = ("node-classification", "link-prediction")
    samples = True
    prefer = {**PROTOCOL, "virtual_nodes": True}

    def setup(self) -> None:
        super().setup()
        self.criterion = criterion_for(self.spec.task, self.settings)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        draws = self.streams["neighbours"] if batch.graph.sampled else None
        for k, block in self.active:
            layer = layer_of(block)
            gathered = partial(self.gathered, layer, batch, draws)
            if draws is not None:
                h = layer.transform(gathered())
            elif self.settings.reuse and layer.gathers:
                h = layer.transform(self.once(self.phase, "loss", (batch.x, batch.index, batch.graph), gathered))
            else:
                h = layer(batch.x, batch.graph).index_select(0, self.criterion.rows(batch))
            yield Local(self.criterion.loss(h, batch), owner=k)

    def gathered(self, layer: Layer, batch: Batch, draws: torch.Generator | None) -> Any:
        """Neighbourhood sums of the nodes in the loss: the part of a layer that its weights do not change.

        Args:
            layer: the active layer.
            batch: the training nodes.
            draws: source of the random neighbours; None: all neighbours.

        Returns:
            The sums, as `Layer.gather` gives them.

        Raises:
            InputError: a convolution that weighs before it gathers.
        """
        if not layer.gathers:
            raise InputError("sample needs a convolution that gathers before it weighs: choose conv = gcn or sage")
        with torch.no_grad():
            return layer.gather(batch.x, batch.graph, self.criterion.rows(batch), draws)

    def predict(self, batch: Batch) -> Tensor:
        rows, (*below, top) = self.criterion.rows(batch), self.read()

        def frozen() -> tuple[Any, Any]:
            """Summed probabilities of the layers below the top, and the input of the top layer."""
            total: Any = 0.0
            h = batch.x
            for layer in below:
                h = batch.through(layer, h) if reuse else layer(h, batch.graph)
                total = total + self.criterion.probability(h.index_select(0, rows), batch)
            return total, top.gather(h, batch.graph, rows) if reuse else h

        reuse = self.settings.reuse and top.gathers and not torch.is_grad_enabled()
        if reuse:
            trained = [p for layer in below for p in layer.parameters()]
            sources = (batch.x, batch.index, batch.graph, *trained)
            total, gathered = self.once(self.phase, "prediction", sources, frozen)
        else:
            total, gathered = frozen()
        h = top.transform(gathered) if reuse else top(gathered, batch.graph).index_select(0, rows)
        return total + self.criterion.probability(h, batch)
