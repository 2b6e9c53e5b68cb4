"""Graphs as a rule sees them: edges, virtual nodes, and the sparse matrices of graph convolutions.

    GCN:  A_hat = D^-1/2 (A + I) D^-1/2,  D the in-degrees of A + I            (arXiv 1609.02907)
    SAGE: M     = D^-1 A,                 D the in-degrees of A, 0 where it is 0  (arXiv 1706.02216)

A virtual node stands for a class: node N + c is joined, in both directions, to every node whose label is known to be c.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.graphs.sparse import Matrix


def geometric(module: str) -> Any:
    """A module of torch_geometric, imported where it is used.

    Raises:
        InputError: it, or a package that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"graphs need {error.name or 'torch_geometric'}: pip install torch_geometric scikit-learn"
        ) from None


@dataclass(eq=False, frozen=True)
class Graph:
    """The graph that the rows of a batch are nodes of. Labels that a rule may not see are not in it.

    Attributes:
        base: directed edges ``(2, E)`` between real nodes, source above target; both directions where undirected.
        nodes: N, real nodes.
        classes: K, virtual nodes, which are N … N + K - 1; 0: none.
        labels: classes ``(N,)`` of the training nodes, -1 elsewhere.
        context: classes ``(N,)`` that may be read in a prediction, -1 elsewhere: those of the training nodes, and of
            the validation nodes when the test part is predicted.
        joins: the node i is joined to the virtual node of class ``joins[i]``, to none where that is -1.
        back: virtual nodes also send to the nodes they are joined to.
        pairs: for link prediction, positions ``(2, B)`` of the two ends within the batch's ``index``.
        fan_out: neighbours drawn for a node where a rule samples; None: all.
        sampled: the rows of a batch are but a part of the training nodes.
    """

    base: Tensor
    nodes: int
    classes: int = 0
    labels: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    context: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    joins: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    back: bool = True
    pairs: Tensor | None = None
    fan_out: int | None = None
    sampled: bool = False
    _made: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def rows(self) -> int:
        """N + K."""
        return self.nodes + self.classes

    @property
    def virtual(self) -> Tensor:
        """The virtual nodes ``(K,)``."""
        return torch.arange(self.nodes, self.rows, device=self.base.device)

    @property
    def edges(self) -> Tensor:
        """All edges, those of the virtual nodes last."""
        if not self.classes:
            return self.base
        node = (self.joins >= 0).nonzero()[:, 0]
        there = torch.stack([node, self.nodes + self.joins[node]])
        return torch.cat([self.base, there, *([there.flip(0)] if self.back else [])], 1)

    def joined(self, joins: Tensor) -> "Graph":
        """The same nodes, with other edges to the virtual ones."""
        return replace(self, joins=joins)

    def made(self, key: Any, make: Callable[[], Any]) -> Any:
        """A value that follows from this graph alone: made once, kept under ``key``."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def gcn(self, dtype: torch.dtype) -> Matrix:
        """``A_hat (N + K, N + K)``, in at least single precision."""
        dtype = torch.promote_types(dtype, torch.float32)

        def make() -> Matrix:
            norm = geometric("torch_geometric.nn.conv.gcn_conv").gcn_norm
            (source, target), weight = norm(self.edges, None, self.rows, dtype=dtype)
            return Matrix(target, source, weight, (self.rows, self.rows))

        return self.made(("gcn", dtype), make)

    def mean(self, dtype: torch.dtype) -> Matrix:
        """``M (N + K, N + K)``, in at least single precision."""
        dtype = torch.promote_types(dtype, torch.float32)

        def make() -> Matrix:
            source, target = self.edges
            degree = torch.bincount(target, minlength=self.rows).to(dtype)
            return Matrix(target, source, 1 / degree[target], (self.rows, self.rows))

        return self.made(("mean", dtype), make)

    def to(self, device: torch.device | str) -> "Graph":
        """The same graph on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in ("base", "labels", "context", "joins")}
        return replace(self, **moved, pairs=None if self.pairs is None else self.pairs.to(device))

    def read(self, h: Tensor, index: Tensor) -> Tensor:
        """The outputs that have targets.

        Args:
            h: of all rows ``(N + K, n)``.
            index: nodes ``(B,)``, or the ends of pairs.

        Returns:
            The rows ``index`` of ``h``, or the scores of its pairs ``(B,)``.
        """
        h = h.index_select(0, index)
        return h if self.pairs is None else self.products(h).sum(1)

    def products(self, h: Tensor) -> Tensor:
        """``h_u * h_v (B, n)`` of the pairs, from the rows ``h (r, n)`` that they count in."""
        assert self.pairs is not None
        return h.index_select(0, self.pairs[0]) * h.index_select(0, self.pairs[1])


def alone(nodes: int, device: torch.device) -> Graph:
    """A graph without edges."""
    return Graph(torch.empty(2, 0, dtype=torch.long, device=device), nodes)
