"""ForwardGNN, single forward with top-down loss (SF-Top-To-Loss): a layer shares its loss with the ones above.

Park et al., "Forward Learning of Graph Neural Networks", ICLR 2024, arXiv 2403.11004, section 3.2, eq. 8, Appendix B.
All layers train together over time steps t; s_l(t) = rownorm(h_l) is layer l's state, s_0 the input:

    h_l = relu(conv_l(s_{l-1}(t-1), G')),   e_l = mean of h_l, s_{l+1}(t-1), …, s_L(t-1)

    L_l = mean over training nodes of CE(<R_i, C> / tau, y_i),   R = e_l[:N],   C = e_l[N:]

Only h_l carries a gradient. A prediction makes one pass from below and adds up softmax(<R_i^l, C^l> / tau)
over the layers.

============  =======================  ==========
symbol        attribute                shape
============  =======================  ==========
conv_l        ``blocks[l]``            a layer of net ``gnn``, all of one width
s_l           ``state_l``              (N + K, n), buffers, so that a checkpoint has them
============  =======================  ==========

Task: classification of nodes.
Shapes: ``batch.x (N + K, F)``, ``batch.y (B,)`` -> class scores ``(B, K)``.
Differences from the paper: biases do not decay; the public code passes un-normalised outputs from layer to layer in a
prediction though training passes normalised ones: ``raw_pass`` does so, the default is consistent.
Costs: one forward pass a step and a prediction; all states live at the same time.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.graphs.graph import Graph
from bpfree.graphs.sparse import Matrix, row_norm
from bpfree.rules.graphs._criteria import Prototypes, PrototypeSettings
from bpfree.rules.graphs._greedy import BECAUSE, PROTOCOL, layer_of, need_graph_layers
from bpfree.training.trainer import Batch, Local, Trainer


@settings
class Settings(PrototypeSettings):
    raw_pass: bool = setting(False, "predict with outputs passed on un-normalised, as the public code does")


class ForwardGNNTopToLoss(Trainer):
    """Each layer's classes are read from its output and the states above it."""

    Settings = Settings
    tasks = ("node-classification",)
    hidden_only = True
    data = "cora"
    batch_separable = False  # a graph is not shared out
    prefer = {**PROTOCOL, "clip": 1.0, "virtual_nodes": True}
    because = {**BECAUSE, ("clip",): "the paper's, for this variant alone"}
    started: Tensor

    def setup(self) -> None:
        need_graph_layers(self)
        widths = sorted({layer_of(block).width for block in self.blocks})
        if len(widths) > 1:
            raise InputError(f"layers have widths {widths}: top-to-loss takes their mean, give all the same")
        self.criterion = Prototypes(self.settings.temperature)
        for k in range(len(self.blocks)):
            self.register_buffer(f"state_{k}", torch.zeros(self.spec.nodes, widths[0]))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        x, graph, rows = layer_of(self.blocks[0]).fixed(batch.x), batch.graph, self.criterion.rows(batch)
        states = [getattr(self, f"state_{k}") for k in range(len(self.blocks))]
        if not self.started:
            with torch.no_grad():
                for state, h in zip(states, self.outputs(x, graph, raw=False), strict=True):
                    state.copy_(row_norm(h))
            self.started.fill_(True)
        new = []
        for k, block in self.active:
            h = block(states[k - 1] if k else x, graph)
            new.append(row_norm(h.detach()))
            yield Local(self.criterion.loss(self.mean(h, states[k + 1 :], rows), batch), owner=k)
        for state, now in zip(states, new, strict=True):
            state.copy_(now)

    def mean(self, h: Tensor, above: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Mean ``e_l`` of a layer's output and the states above it.

        Args:
            h: output of layer l ``(N + K, n)``.
            above: states of the layers above, ``(N + K, n)`` each.
            rows: nodes in the loss ``(R,)``.

        Returns:
            The mean for these nodes ``(R, n)``.
        """
        return sum((s[rows] for s in above), h.index_select(0, rows)) / (1 + len(above))

    def outputs(self, x: Tensor | Matrix, graph: Graph, raw: bool) -> list[Tensor]:
        """Outputs of all layers in one pass from below.

        Args:
            x: the input ``(N + K, F)``.
            graph: the graph.
            raw: pass outputs on without normalising their rows.

        Returns:
            ``h_l (N + K, n)``, one a layer.
        """
        outputs: list[Tensor] = []
        for block in self.blocks:
            below = outputs[-1] if outputs else x
            outputs.append(block.activation(block.conv([below], graph)) if raw else block(below, graph))  # type: ignore[operator]
        return outputs

    def predict(self, batch: Batch) -> Tensor:
        raw, rows = self.settings.raw_pass, self.criterion.rows(batch)
        x = batch.x if raw else layer_of(self.blocks[0]).fixed(batch.x)
        outputs = self.outputs(x, batch.graph, raw)
        states = [row_norm(h) for h in outputs]
        probabilities = [
            self.criterion.probability(self.mean(h, states[k + 1 :], rows), batch) for k, h in enumerate(outputs)
        ]
        return torch.stack(probabilities).sum(0)
