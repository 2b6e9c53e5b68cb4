"""ForwardGNN by label appending (FF-LA): forward-forward on graphs, with the class as part of a node's features.

Park et al., "Forward Learning of Graph Neural Networks", ICLR 2024, arXiv 2403.11004, section 3.1. Positive nodes carry
their class, negative ones a wrong class, all other nodes 1/K for each class; layer l is trained to its early stop:

    x'_i = [x_i, l_i],   h_l = relu(conv_l(rownorm(h_{l-1}), G)),   g_i = sum_d h_id^2

    L_l = mean softplus(theta - g_i+) + 1/M sum_m mean softplus(g_i-(m) - theta),   over the training nodes

    L_l = 1/M sum_m mean softplus(-alpha (g_i+ - g_i-(m)))   (``goodness_loss = symba``, arXiv 2303.08418)

============  ====================  ===========================================================
symbol        attribute             shape
============  ====================  ===========================================================
conv_l        ``blocks[l]``         a layer of net ``gnn``; the lowest has K inputs more
wrong         ``offsets``           (M, N), which wrong class negative m shows; drawn once
============  ====================  ===========================================================

Task: classification of nodes.
Shapes: ``batch.x (N, F)``, ``batch.y (B,)`` -> goodness of each class ``(B, K)``.
A prediction shows all nodes to be classified with the same candidate class at once, and the known ones with theirs:
those of the training part, and in a test those of the validation part too, which SF never reads.
It adds means over d, not sums: layers of unequal widths count alike.
Differences from the paper: biases do not decay; each stream's gradient is added up on its own, the same step in memory
that does not grow with K.
Costs: M + 1 forward passes a step, with symba M + 2, K a prediction. The streams' inputs of an upper layer are kept if
they fit ``cache_mb``.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.errors import InputError
from bpfree.graphs.graph import Graph
from bpfree.rules.graphs._goodness import GraphGoodness
from bpfree.rules.graphs._greedy import PROTOCOL, layer_of
from bpfree.training.trainer import Batch


class ForwardGNNLabelAppending(GraphGoodness):
    """Forward-forward on graphs: the class is part of the features."""

    prefer = PROTOCOL

    def setup(self) -> None:
        super().setup()
        layer_of(self.blocks[0]).widen(self.spec.classes)

    def appended(self, x: Tensor, classes: Tensor) -> Tensor:
        """Append classes to features.

        Args:
            x: features ``(N, F)``.
            classes: ``(N,)``, -1 where unknown.

        Returns:
            ``(N, F + K)``: the features, then the one-hot class, or 1/K for each where it is unknown.
        """
        label = F.one_hot(classes.clamp(min=0), self.spec.classes).to(x)
        return torch.cat([x, torch.where(classes[:, None] < 0, 1 / self.spec.classes, label)], 1)

    def stream(self, batch: Batch, m: int) -> tuple[Tensor, Graph]:
        if batch.graph.classes or batch.graph.sampled:
            raise InputError("forward-gnn-ff-la takes the whole graph as it is: leave out virtual_nodes and sample")
        h = batch.x[m] if self.first else self.appended(batch.x, self.shown(batch.graph, m))
        return h, batch.graph

    def candidate(self, batch: Batch, c: int) -> tuple[Tensor, Graph]:
        return self.appended(batch.x, self.guessed(batch, c)), batch.graph

    def prepare(self, batch: Batch) -> Batch:
        """The streams' outputs of the frozen layers, ``x (M + 1, N, n)``; below the lowest layer ``x`` as it is."""
        if not self.first:
            return batch
        streams = []
        for m in range(len(self.offsets) + 1):
            h = self.appended(batch.x, self.shown(batch.graph, m))
            for block in self.blocks[: self.first]:
                h = block(h, batch.graph)
            streams.append(h)
        return dataclasses.replace(batch, x=torch.stack(streams))
