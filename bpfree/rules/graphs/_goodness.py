"""Base of the two forward-forward rules on graphs: streams, greedy layers, goodness of each candidate class."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.graphs.graph import Graph
from bpfree.nets.gnn import Layer
from bpfree.rules.graphs._greedy import READOUT, GreedyGraph, layer_of
from bpfree.training.trainer import Batch, Local, RuleSettings


@settings
class Settings(RuleSettings):
    threshold: float = setting(2.0, "theta, the goodness that separates right from wrong", ge=0)
    goodness_loss: Literal["threshold", "symba"] = setting(
        "threshold", "goodness against theta, or that of the right class against that of a wrong one"
    )
    alpha: float = setting(4.0, "alpha of goodness_loss = symba, multiplies the gap", gt=0)
    negatives: int = setting(100, "wrong classes a node is shown with, at most all", ge=1)
    reuse: bool = setting(True, "compute what a layer's fixed input implies once; off: in every step, the same weights")
    readout: str = setting("all", "goodness " + READOUT)


class GraphGoodness(GreedyGraph):
    """Layer by layer, nodes shown with their class become active, with a wrong class quiet."""

    Settings = Settings
    tasks = ("node-classification",)
    offsets: Tensor

    def setup(self) -> None:
        super().setup()
        classes, nodes = self.spec.classes, self.spec.nodes
        wrong = torch.rand(classes - 1, nodes).argsort(0)[: self.settings.negatives] + 1
        self.register_buffer("offsets", wrong)  # (M, N): negative m shows node i with class y_i + offset, modulo K

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 1 + self.gap + min(self.settings.negatives, self.spec.classes - 1), self.spec.classes

    @abstractmethod
    def stream(self, batch: Batch, m: int) -> tuple[Tensor, Graph]:
        """Input and graph of the active layer in one stream.

        Args:
            batch: the training nodes.
            m: 0 for the positive stream, 1, 2, … for a negative one.

        Returns:
            Features ``(N, n)`` and the graph that they pass along.
        """

    @abstractmethod
    def candidate(self, batch: Batch, c: int) -> tuple[Tensor, Graph]:
        """Input and graph of the lowest layer under the assumption that all nodes to be classified are of class c.

        Args:
            batch: the nodes to be classified.
            c: the candidate class.

        Returns:
            Features ``(N, F)`` and the graph that they pass along.
        """

    def shown(self, graph: Graph, m: int) -> Tensor:
        """Class that each training node is shown with.

        Args:
            graph: the graph, with the labels of its training nodes.
            m: the stream; 0 shows the right classes.

        Returns:
            Classes ``(N,)``, -1 for all nodes that do not train.
        """
        if m == 0:
            return graph.labels
        wrong = (graph.labels + self.offsets[m - 1, : graph.nodes]) % self.spec.classes
        return torch.where(graph.labels < 0, graph.labels, wrong)

    def guessed(self, batch: Batch, c: int) -> Tensor:
        """Classes during a prediction.

        Args:
            batch: the nodes to be classified.
            c: the candidate class that they are shown with.

        Returns:
            Classes ``(N,)``: the known ones, c for the nodes to be classified, -1 for all others.
        """
        return batch.graph.context.index_fill(0, batch.index, c)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        negatives, ((k, block),) = len(self.offsets), self.active
        layer, right = layer_of(block), batch.x.new_zeros(())
        if self.gap:  # a negative stream's gradient depends on the positive one
            with torch.no_grad():
                right = self.goodness(layer, batch, 0)
        wrong = []
        for m in range(negatives, 0, -1):  # one stream at a time: memory does not grow with the classes
            good = self.goodness(layer, batch, m)
            (self.pair(right, good) / negatives).backward()
            wrong.append(good.detach())
        right = self.goodness(layer, batch, 0)
        yield Local(torch.stack([self.pair(right, good) for good in wrong]).mean(), owner=k)

    @property
    def gap(self) -> bool:
        return self.settings.goodness_loss == "symba"

    def pair(self, right: Tensor, wrong: Tensor) -> Tensor:
        """Loss of one pair of streams.

        Args:
            right: goodness ``(B,)`` with the right class.
            wrong: goodness ``(B,)`` with a wrong one.

        Returns:
            The mean over the training nodes, a scalar.
        """
        if self.gap:
            return F.softplus(-self.settings.alpha * (right - wrong)).mean()
        theta = self.settings.threshold
        return (F.softplus(theta - right) + F.softplus(wrong - theta)).mean()

    def goodness(self, layer: Layer, batch: Batch, m: int) -> Tensor:
        """Goodness ``g_i`` of the training nodes.

        Args:
            layer: the active layer.
            batch: the training nodes.
            m: the stream.

        Returns:
            Goodness ``(B,)``.
        """
        if self.settings.reuse and layer.gathers:
            sources = (batch.x, batch.index, batch.graph)
            streams = self.once(self.phase, "loss", sources, lambda: self.gathered(layer, batch))
            h = layer.transform(streams[m])
        else:
            h = layer(*self.stream(batch, m)).index_select(0, batch.index)  # type: ignore[arg-type]
        return h.square().sum(1)

    def gathered(self, layer: Layer, batch: Batch) -> list[Any]:
        """Neighbourhood sums of the training nodes in each stream: the part of a layer that its weights do not change.

        Args:
            layer: the active layer.
            batch: the training nodes, and what the layer is fed.

        Returns:
            One entry a stream, the positive one first, each as `Layer.gather` gives it.
        """
        return [layer.gather(*self.stream(batch, m), batch.index) for m in range(len(self.offsets) + 1)]  # type: ignore[arg-type]

    def predict(self, batch: Batch) -> Tensor:
        *below, top = self.read()
        index: Any = batch.index

        def frozen() -> list[tuple[Any, Any, Graph | None]]:
            """For each class: goodness summed below the top layer, the input of the top layer, and the graph."""
            candidates: list[tuple[Any, Any, Graph | None]] = []
            for c in range(self.spec.classes):
                total: Any = 0.0
                h, graph = self.candidate(batch, c)
                for layer in below:
                    h = layer(h, graph)
                    total = total + h.index_select(0, index).square().mean(1)
                candidates.append((total, top.gather(h, graph, index), None) if reuse else (total, h, graph))
            return candidates

        reuse = self.settings.reuse and top.gathers and not torch.is_grad_enabled()
        if reuse:
            trained = [p for layer in below for p in layer.parameters()]
            each = self.once(self.phase, "prediction", (batch.x, batch.index, batch.graph, *trained), frozen)
        else:
            each = frozen()
        scores = []
        for total, h, graph in each:
            h = top.transform(h) if reuse else top(h, graph).index_select(0, index)
            scores.append(total + h.square().mean(1))
        return torch.stack(scores, 1)
