"""ForwardGNN, single forward with top-down input (SF-Top-To-Input): a layer also sees the state of the one above.

Park et al., "Forward Learning of Graph Neural Networks", ICLR 2024, arXiv 2403.11004, section 3.2, eq. 7, Appendix B.
All layers train together over time steps; s_0 is the input, s_l the output of layer l one step ago or less, s_{L+1} the
labels (one-hot for training and virtual nodes, 1/K elsewhere; none where links are predicted):

    s_l <- relu(conv_l([rownorm(s_{l-1}), rownorm(s_{l+1})], G')),   L_l as in single forward (`forward-gnn`)

First layers 1, 3, 5, … take a step, then 2, 4, …, which see the new states. A prediction starts from one pass from
below with zeros above, runs ``passes`` such passes, and adds up the layers' probabilities from pass ``skip`` on.

============  =======================  ==========
symbol        attribute                shape
============  =======================  ==========
conv_l        ``blocks[l]``            a layer of net ``gnn``, with the inputs from above
s_l           ``state_l``              (N + K, n_l), buffers, so that a checkpoint has them
============  =======================  ==========

Tasks: classification of nodes, prediction of links.
Shapes: ``batch.x (N + K, F)``, ``batch.y (B,)`` -> class scores ``(B, K)``; links: scores ``(B,)``.
Training nodes see their own label from above, test nodes 1/K: a shift between the two (in the paper as well).
Differences from the paper: biases do not decay. The paper's links have no weight decay: set ``weight_decay 0``.
Costs: one forward pass a step, ``passes + 1`` a prediction; all states live at the same time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.graphs.graph import Graph
from bpfree.graphs.sparse import Matrix
from bpfree.rules.graphs._criteria import CriterionSettings, criterion_for
from bpfree.rules.graphs._greedy import BECAUSE, PROTOCOL, layer_of, need_graph_layers
from bpfree.training.trainer import Batch, Local, Trainer


@settings
class Settings(CriterionSettings):
    alternate: bool = setting(True, "odd layers, then even ones; off: all layers see the states of the step before")
    passes: int = setting(10, "passes of a prediction", ge=1)
    skip: int = setting(2, "passes of a prediction that do not count", ge=0)


class ForwardGNNTopToInput(Trainer):
    """Each layer sees the one below and the one above."""

    Settings = Settings
    tasks = ("node-classification", "link-prediction")
    hidden_only = True
    data = "cora"
    batch_separable = False  # a graph is not shared out
    prefer = {**PROTOCOL, "virtual_nodes": True}
    because = BECAUSE
    started: Tensor

    def setup(self) -> None:
        need_graph_layers(self)
        options = self.settings
        if options.skip >= options.passes:
            raise InputError(f"skip = {options.skip} leaves none of {options.passes} passes: make it smaller")
        self.criterion = criterion_for(self.spec.task, options)
        self.widths: list[int] = [block.width for block in self.blocks]  # type: ignore[misc]
        for block, above in zip(self.blocks, [*self.widths[1:], self.spec.classes], strict=True):
            block.widen(above)  # type: ignore[operator]
        for k, width in enumerate(self.widths):
            self.register_buffer(f"state_{k}", torch.zeros(self.spec.nodes, width))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 1, self.settings.passes + 1

    @property
    def groups(self) -> list[range]:
        """Layers that step at the same time."""
        depth = len(self.blocks)
        return [range(0, depth, 2), range(1, depth, 2)] if self.settings.alternate else [range(depth)]

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        x = layer_of(self.blocks[0]).fixed(batch.x)
        tops, rows = self.tops(batch.graph, batch.x), self.criterion.rows(batch)
        states = [getattr(self, f"state_{k}") for k in range(len(self.blocks))]
        if not self.started:
            with torch.no_grad():
                for state, first in zip(states, self.bottom_up(x, batch.graph, tops), strict=True):
                    state.copy_(first)
            self.started.fill_(True)
        for group in self.groups:
            seen = states if self.settings.alternate else [state.clone() for state in states]
            for k in group:
                h = self.update(k, x, seen, tops, batch.graph)
                states[k].copy_(h.detach())
                yield Local(self.criterion.loss(h.index_select(0, rows), batch), owner=k)

    def tops(self, graph: Graph, like: Tensor) -> list[Tensor]:
        """State ``s_{L+1}`` above the top layer: the labels as far as training knows them.

        Args:
            graph: the graph, with the labels of its training nodes.
            like: a tensor whose type and device the labels take.

        Returns:
            One tensor ``(N + K, K)``; none for links.
        """
        if not self.spec.classes:
            return []
        known = torch.cat([graph.labels, torch.arange(graph.classes, device=like.device)])
        label = F.one_hot(known.clamp(min=0), self.spec.classes).to(like)
        return [torch.where(known[:, None] < 0, 1 / self.spec.classes, label)]

    def update(self, k: int, x: Tensor | Matrix, states: Sequence[Tensor], tops: list[Tensor], graph: Graph) -> Tensor:
        """Advance layer k by one time step.

        Args:
            k: the layer.
            x: the input of the lowest layer ``(N + K, F)``.
            states: of all layers, ``(N + K, n_l)`` each.
            tops: as `tops` gives it.
            graph: the graph.

        Returns:
            The next state ``(N + K, n_k)``.
        """
        below = states[k - 1] if k else x
        return self.blocks[k](below, graph, *([states[k + 1]] if k + 1 < len(states) else tops))

    def bottom_up(self, x: Tensor | Matrix, graph: Graph, tops: list[Tensor]) -> list[Tensor]:
        """States after one pass from below, with zeros in the place of all that is above.

        Args:
            x: the input ``(N + K, F)``.
            graph: the graph.
            tops: as `tops` gives it.

        Returns:
            One state a layer, ``(N + K, n_l)`` each.
        """
        weight = next(self.parameters())
        zeros = [weight.new_zeros(graph.rows, width) for width in self.widths]
        above = [*([zero] for zero in zeros[1:]), [torch.zeros_like(top) for top in tops]]
        states: list[Tensor] = []
        for block, over in zip(self.blocks, above, strict=True):
            states.append(block(states[-1] if states else x, graph, *over))
        return states

    def predict(self, batch: Batch) -> Tensor:
        x = layer_of(self.blocks[0]).fixed(batch.x)
        tops, rows = self.tops(batch.graph, batch.x), self.criterion.rows(batch)
        states, total = self.bottom_up(x, batch.graph, tops), 0.0
        for number in range(self.settings.passes):
            for group in self.groups:
                new: dict[int, Any] = {k: self.update(k, x, states, tops, batch.graph) for k in group}
                states = [new.get(k, state) for k, state in enumerate(states)]
            if number >= self.settings.skip:
                total = total + sum(self.criterion.probability(h.index_select(0, rows), batch) for h in states)  # type: ignore[assignment]
        return total  # type: ignore[return-value]
