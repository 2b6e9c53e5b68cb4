"""Graphs as a rule sees them: edges, virtual nodes, and the sparse matrices of graph convolutions.

    GCN:  A_hat = D^-1/2 (A + I) D^-1/2,  D the in-degrees of A + I            (arXiv 1609.02907)
    SAGE: M     = D^-1 A,                 D the in-degrees of A, 0 where it is 0  (arXiv 1706.02216)

A virtual node stands for a class: node N + c is joined, in both directions, to every node whose label is known to be c.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakIdKeyDictionary

from bpfree.errors import InputError


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


def row_norm(h: Tensor) -> Tensor:
    """``h / (|h| + 1e-8)`` for every row; a row of zeros stays one."""
    return h / (h.norm(dim=1, keepdim=True) + 1e-8)


class Matrix:
    """A fixed sparse matrix ``(R, C)`` that multiplies dense ones; its transpose is kept for the gradient.

    Args:
        rows, columns, values: the entries ``(E,)`` each.
        shape: (R, C).
    """

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> None:
        order = (rows * shape[1] + columns).argsort()
        self.rows, self.columns, self.values, self.shape = rows[order], columns[order], values[order], shape
        self.start = torch.cat([rows.new_zeros(1), torch.bincount(rows, minlength=shape[0]).cumsum(0)])
        self._transposed: Matrix | None = None

    @property
    def transposed(self) -> "Matrix":
        """``(C, R)``; made when the first gradient asks for it."""
        if self._transposed is None:
            self._transposed = Matrix(self.columns, self.rows, self.values, self.shape[::-1])
        return self._transposed

    def times(self, dense: Tensor) -> Tensor:
        """``(R, C) @ (C, n)``, without a gradient: a weighted sum of rows of ``dense`` for each row.

        As a bag of embeddings, which takes a third to a quarter of the time of torch's product of CSR matrices.
        """
        dense = dense.to(self.values.dtype).contiguous()
        return F.embedding_bag(
            self.columns, dense, self.start, mode="sum", per_sample_weights=self.values, include_last_offset=True
        )

    def __matmul__(self, dense: Tensor) -> Tensor:
        """``(R, C) @ (C, n)``, differentiable in the dense one."""
        return _Product.apply(dense, self)

    def take(self, rows: Tensor, fan_out: int | None = None, draws: torch.Generator | None = None) -> "Matrix":
        """The given rows ``(r,)`` as a matrix ``(r, C)``.

        Args:
            rows: which.
            fan_out: at most this many entries a row. A row with more has that many drawn from it with replacement and
                scaled, so that its product is right on average; None: all entries.
            draws: the generator of those draws.
        """
        count = self.start[rows + 1] - self.start[rows]
        kept = count if fan_out is None else count.clamp(max=fan_out)
        row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), kept)
        within = torch.arange(len(row), device=rows.device) - (kept.cumsum(0) - kept)[row]
        values = self.values
        scale = (count / kept.clamp(min=1)).to(values.dtype)[row]
        if fan_out is not None:
            drawn = torch.rand(len(row), generator=draws, device=rows.device, dtype=torch.float64)
            within = torch.where(count[row] > fan_out, (drawn * count[row]).long(), within)
        at = self.start[rows][row] + within
        return Matrix(row, self.columns[at], values[at] * scale, (len(rows), self.shape[1]))


class _Product(torch.autograd.Function):
    """``y = A x``, ``dx = A^T dy``."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: Matrix) -> Tensor:
        ctx.matrix, ctx.dtype = matrix, dense.dtype
        return matrix.times(dense)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.matrix.transposed.times(grad).to(ctx.dtype), None


@dataclass(eq=False, frozen=True)
class Graph:
    """What a batch's rows live on. Labels that a rule may not see are not in it.

    Attributes:
        base: directed edges ``(2, E)`` between real nodes, source above target; both directions where undirected.
        nodes: N, real nodes.
        classes: K, virtual nodes, which are N … N + K - 1; 0: none.
        labels: classes ``(N,)`` of the training nodes, -1 elsewhere.
        context: classes ``(N,)`` that may be read in a prediction, -1 elsewhere: those of the training nodes, and of
            the validation nodes when the test part is predicted.
        joins: the node i is joined to the virtual node of class ``joins[i]``, to none where that is -1.
        back: whether virtual nodes also send to the nodes they are joined to.
        pairs: for link prediction, positions ``(2, B)`` of the two ends within the batch's ``index``.
        fan_out: neighbours drawn for a node where a rule samples; None: all.
        sampled: whether the rows of a batch are but a part of the training nodes.
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

    def made(self, what: Any, make: Callable[[], Any]) -> Any:
        """What follows from this graph alone, made once."""
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

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
        moved = {name: getattr(self, name).to(device) for name in ("base", "labels", "context", "joins")}
        return replace(self, **moved, pairs=None if self.pairs is None else self.pairs.to(device))

    def read(self, h: Tensor, index: Tensor) -> Tensor:
        """What the targets are about, out of all rows ``h (N + K, n)``: the rows ``index``, or scores of its pairs."""
        h = h.index_select(0, index)
        return h if self.pairs is None else self.products(h).sum(1)

    def products(self, h: Tensor) -> Tensor:
        """``h_u * h_v (B, n)`` of the pairs, from the rows ``h (r, n)`` that they count in."""
        assert self.pairs is not None
        return h.index_select(0, self.pairs[0]) * h.index_select(0, self.pairs[1])


def alone(nodes: int, device: torch.device) -> Graph:
    """A graph without edges."""
    return Graph(torch.empty(2, 0, dtype=torch.long, device=device), nodes)


SPARSE = 0.3  # the share of non-zero features below which a sparse product is the faster one; measured


class Gathered:
    """``left @ right``, two matrices that are never multiplied out."""

    def __init__(self, left: Matrix, right: Matrix) -> None:
        self.left, self.right = left, right

    def __matmul__(self, dense: Tensor) -> Tensor:
        return self.left @ (self.right @ dense)


Fixed = Tensor | Matrix | Gathered  # what a layer's weights are multiplied with


_forms: WeakIdKeyDictionary = WeakIdKeyDictionary()  # of a tensor that is still alive: {scaled: (version, its form)}


def sparse(h: Tensor, scaled: bool) -> Matrix | None:
    """A fixed ``h (N + K, n)`` as a matrix, its rows of length 1 if ``scaled``; None if it has many entries.

    Made once, without a copy, and kept as long as ``h`` is. Virtual nodes have all features; they are so few that they
    are entries like the others.
    """
    forms = _forms.setdefault(h, {})
    if forms.get(scaled, (None,))[0] != h._version:
        forms[scaled] = h._version, _sparse(h, scaled)
    return forms[scaled][1]


def _sparse(h: Tensor, scaled: bool) -> Matrix | None:
    if h.count_nonzero() >= SPARSE * h.numel():
        return None
    row, column = h.nonzero(as_tuple=True)
    values = h[row, column]
    if scaled:
        values = values / (h.norm(dim=1) + 1e-8)[row]
    return Matrix(row, column, values, (len(h), h.shape[1]))


def gather(left: Matrix, h: Tensor, scaled: bool) -> Tensor | Gathered:
    """``left @ h`` for a fixed ``h (N + K, n)``, from the rows it asks for alone when those are the fewer.

    The rows of ``h`` are brought to length 1 first if ``scaled``.
    """
    h = h.to(left.values.dtype)
    form = sparse(h, scaled)
    used, column = left.columns.unique(return_inverse=True)
    if 2 * len(used) < len(h):
        left = Matrix(left.rows, column, left.values, (left.shape[0], len(used)))
        h, form = (h[used], None) if form is None else (h, form.take(used))
    if form is not None:
        return Gathered(left, form)
    return left @ (row_norm(h) if scaled else h)


def times(fixed: Fixed, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``fixed (r, n) @ weight (n, m)``, plus ``bias (m,)``."""
    if isinstance(fixed, Tensor):
        return F.linear(fixed, weight.T, bias)
    return fixed @ weight if bias is None else fixed @ weight + bias


class Memo:
    """Results of pure functions, kept under the very objects that they were computed from.

    A result is found again only for the same tensors and graphs (they are held, so that no other can take their place)
    at the same version, which every in-place change of a tensor raises, a loaded state included. An optimizer's fused
    step does not raise it, so everything is forgotten when ``scope``, the phase, is another object: within it the
    sources must not be trained.
    """

    def __init__(self) -> None:
        self.scope: Any = None
        self.kept: dict[tuple, tuple[Sequence[Any], Any]] = {}

    def __call__(self, scope: Any, what: str, sources: Sequence[Any], compute: Callable[[], Any]) -> Any:
        if scope is not self.scope:
            self.scope, self.kept = scope, {}
        key = (what, *((id(source), getattr(source, "_version", 0)) for source in sources))
        if key not in self.kept:
            while len(self.kept) >= _KEPT:
                del self.kept[next(iter(self.kept))]
            with torch.no_grad():
                self.kept[key] = (sources, compute())
        return self.kept[key][1]


_KEPT = 4  # of the loss, and of predictions on each part of the data
