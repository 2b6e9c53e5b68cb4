"""Sources whose batch is the graph."""

from collections.abc import Callable, Generator

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.graphs.graph import Graph
from bpfree.training.batch import Batch
from bpfree.training.data import Pass, Source


class GraphSource(Source):
    """Split of a graph: every batch has all nodes in ``x``, and in ``index`` those with a target.

    Args:
        x: features of all nodes ``(N + K, F)``, K virtual.
        y: targets ``(B,)``.
        index: nodes of the targets, or the ends of their pairs.
        graph: edges and labels of the nodes.
    """

    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, index: Tensor, graph: Graph) -> None:
        self.x, self.y, self.index, self.graph = x, y, index, graph
        self.shape = tuple(x.shape[1:])
        self.whole = not graph.sampled

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device | str, resident_mb: float) -> "GraphSource":
        # a graph is resident whatever its size: every batch has all of it
        return GraphSource(self.x.to(device), self.y.to(device), self.index.to(device), self.graph.to(device))

    def steps(self, batch_size: int) -> int:
        return 1 if self.whole else super().steps(batch_size)

    def prepared(self, prepare: Callable[[Batch], Batch], batch_size: int, budget: float) -> "GraphSource | None":
        batch = prepare(Batch(self.x, self.y, self.index, graph=self.graph))
        return None if batch.x.nbytes > budget else GraphSource(batch.x, batch.y, self.index, self.graph)

    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        if over.shard[1] > 1:
            raise InputError("a graph cannot be shared out over processes: train it in one")
        return self._produce(len(self) if self.whole else over.batch_size, over.order, over.start)

    def _produce(self, batch_size: int, order: Tensor | None, start: int) -> Generator[Batch, None, None]:
        if batch_size >= len(self):  # the same tensors every time, so that what follows from them can be kept
            yield from () if start else (Batch(self.x, self.y, self.index, graph=self.graph),)
            return
        order = torch.arange(len(self)) if order is None else order
        for rows in order.to(self.index.device).split(batch_size)[start:]:
            yield Batch(self.x, self.y[rows], self.index[rows], graph=self.graph)
