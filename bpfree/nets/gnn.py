"""Graph net: layers that gather from neighbours, GCN, GraphSAGE or GAT.

Block k is ``h -> relu(conv_k(h, graph))``, or with ``row_norm`` ``relu(conv_k(h / |h|, graph))``; unless a rule brings
its own heads, the last block has no ReLU: class scores, or embeddings where links are to be predicted. The convolutions
are torch_geometric's, with its initial weights. GCN: Kipf and Welling, arXiv 1609.02907; GraphSAGE: Hamilton, Ying,
Leskovec, arXiv 1706.02216; GAT: Veličković et al., arXiv 1710.10903.

    GCN:  A_hat h W + b        SAGE: M h W_l + b + h W_r        GAT: attention, ``attention_heads`` heads, concatenated
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.graphs.graph import Graph, alone, geometric
from bpfree.graphs.sparse import Fixed, Matrix, gather, row_norm, sparse, times

if TYPE_CHECKING:
    from bpfree.training.data import Spec

Pick = Callable[[Matrix], Matrix]  # chooses entries of the graph's matrix: some rows, some neighbours


@settings
class Settings:
    conv: Literal["gcn", "sage", "gat"] = setting("gcn", "convolution", search=("gcn", "sage", "gat"))
    hidden: tuple[PositiveInt, ...] = setting((128, 128), "widths of the hidden layers, all positive")
    row_norm: bool = setting(False, "scale every row to length 1 before each layer")
    attention_heads: int = setting(4, "heads of gat", ge=1)


def linear(parts: Sequence[Fixed], weight: Tensor) -> Tensor:
    """Multiply the parts, joined along their features, by a weight.

    Args:
        parts: n features in all, ``(N, n_i)`` each; only the first may be sparse.
        weight: ``(m, n)``.

    Returns:
        ``(N, m)``.
    """
    first, *rest = parts
    if not rest:
        return times(first, weight.T)
    above = torch.cat(cast(list[Tensor], rest), 1)
    below, over = weight.split([weight.shape[1] - above.shape[1], above.shape[1]], 1)
    return times(first, below.T) + above @ over.T


class Conv(nn.Module):
    """Convolution of torch_geometric; `gather` and `transform` are its two halves where the first has no weights."""

    gathers = True

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv: Any = conv

    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        """Convolve.

        Args:
            parts: features of all nodes, ``(N, n_i)`` each.
            graph: with the nodes' neighbours.

        Returns:
            ``(N, m)``.
        """
        raise NotImplementedError

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, pick: Pick, scaled: bool) -> tuple[Fixed, ...]:
        """Gather the inputs of the linear maps from fixed features.

        Args:
            h: features of all nodes ``(N, n)``.
            graph: with the nodes' neighbours.
            rows: nodes to compute, ``(r,)`` int64.
            pick: reduces the graph's matrix to these rows, and may draw some of their neighbours.
            scaled: scale every row of ``h`` to length 1 first.

        Returns:
            One matrix ``(r, n)`` for each linear map.
        """
        raise NotImplementedError

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        """Apply the linear maps to what `gather` returned: ``(r, m)``."""
        raise NotImplementedError


class Gcn(Conv):
    """Graph convolution ``A_hat h W + b``."""

    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        weight = self.conv.lin.weight
        return graph.gcn(weight.dtype) @ linear(parts, weight) + self.conv.bias

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, pick: Pick, scaled: bool) -> tuple[Fixed, ...]:
        return (gather(pick(graph.gcn(h.dtype)), h, scaled),)

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        return times(gathered[0], self.conv.lin.weight.T, self.conv.bias)


class Sage(Conv):
    """GraphSAGE with the mean of the neighbours: ``M h W_l + b + h W_r``."""

    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        neighbours, root = self.conv.lin_l, self.conv.lin_r
        mean = graph.mean(root.weight.dtype)
        return mean @ linear(parts, neighbours.weight) + neighbours.bias + linear(parts, root.weight)

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, pick: Pick, scaled: bool) -> tuple[Fixed, ...]:
        neighbours = pick(graph.mean(h.dtype))
        ones = neighbours.values.new_ones(len(rows))
        root = Matrix(torch.arange(len(rows), device=h.device), rows, ones, (len(rows), len(h)))
        return gather(neighbours, h, scaled), gather(root, h, scaled)

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        neighbours, root = gathered
        return times(neighbours, self.conv.lin_l.weight.T, self.conv.lin_l.bias) + times(root, self.conv.lin_r.weight.T)


class Gat(Conv):
    """Graph attention; its weights of the neighbours depend on what is learned, so nothing is gathered beforehand."""

    gathers = False

    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        return self.conv(torch.cat(parts, 1), graph.made("edges", lambda: graph.edges))  # type: ignore[arg-type]


class Layer(nn.Module):
    """Graph layer ``activation(conv(row_norm(h), graph))``; the input may have several parts, each scaled alone.

    Args:
        settings: of the net.
        fan_in: features in.
        width: features out.
        last: without ReLU, and with the mean of the attention heads instead of all of them.
    """

    takes_graph = True

    def __init__(self, settings: Settings, fan_in: int, width: int, last: bool = False) -> None:
        super().__init__()
        self.settings, self.fan_in, self.width, self.last = settings, fan_in, width, last
        self.activation = nn.Identity() if last else nn.ReLU()
        self.widen(0)

    def widen(self, above: int) -> None:
        """Draw new weights for an input with ``above`` additional features."""
        convolutions = geometric("torch_geometric.nn")
        settings, fan_in = self.settings, self.fan_in + above
        if settings.conv == "gat":
            each = self.width if self.last else self.width // settings.attention_heads
            self.conv: Conv = Gat(convolutions.GATConv(fan_in, each, settings.attention_heads, concat=not self.last))
        else:
            wrap, inner = {"gcn": (Gcn, convolutions.GCNConv), "sage": (Sage, convolutions.SAGEConv)}[settings.conv]
            self.conv = wrap(inner(fan_in, self.width))

    @property
    def gathers(self) -> bool:
        """True where `gather` and `transform` give what `forward` does: not with attention."""
        return self.conv.gathers

    def scaled(self, h: Tensor) -> Tensor:
        """Rows of ``h`` at length 1 with ``row_norm``, else as they are."""
        return row_norm(h) if self.settings.row_norm else h

    def fixed(self, h: Tensor) -> Tensor | Matrix:
        """Fixed input for `forward`, scaled and in sparse form if most features of its nodes are zero."""
        form = sparse(h, self.settings.row_norm) if self.gathers else None
        return h if form is None else form

    def forward(self, h: Tensor | Matrix, graph: Graph | None = None, *above: Tensor) -> Tensor:
        """Run the layer.

        Args:
            h: features of all nodes ``(N, n)``.
            graph: with the nodes' neighbours; None: every node is alone.
            *above: additional features ``(N, n_i)``.

        Returns:
            ``(N, m)``.
        """
        parts = [self.scaled(part) if isinstance(part, Tensor) else part for part in (h, *above)]
        graph = alone(len(parts[0]), h.device) if graph is None else graph  # type: ignore[arg-type, union-attr]
        return self.activation(self.conv(parts, graph))

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, draws: torch.Generator | None = None) -> tuple[Fixed, ...]:
        """Gather the inputs of `transform` from fixed features.

        Args:
            h: features of all nodes ``(N, n)``.
            graph: with the nodes' neighbours and the fan-out.
            rows: nodes to compute, ``(r,)`` int64.
            draws: generator that samples neighbours; None: all neighbours.

        Returns:
            One matrix ``(r, n)`` for each linear map.
        """

        def pick(matrix: Matrix) -> Matrix:
            return matrix.take(rows, graph.fan_out if draws is not None else None, draws)

        return self.conv.gather(h, graph, rows, pick, self.settings.row_norm)

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        """Apply linear maps and activation to what `gather` returned: ``(r, m)``."""
        return self.activation(self.conv.transform(gathered))


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the layers.

    Args:
        spec: description of the data; ``spec.shape`` is (features,).
        settings: of the net.
        hidden_only: leave out the layer of class scores, for rules with heads of their own.

    Returns:
        Layers ``(N, n)`` -> ``(N, n_k)``; unless ``hidden_only``, the last one gives class scores or embeddings.

    Raises:
        InputError: data without a graph, widths that the attention heads do not divide, or no layer
    """
    if not spec.nodes:
        raise InputError(f"net gnn needs a graph, and data {spec.name} has none: use --net mlp or cnn")
    if settings.conv == "gat":
        for width in settings.hidden:
            if width % settings.attention_heads:
                raise InputError(f"width {width} is not a multiple of attention_heads = {settings.attention_heads}")
    links = spec.task == "link-prediction"
    if not settings.hidden and (hidden_only or links):
        raise InputError("hidden is empty: give at least one width")
    widths = [*settings.hidden, *([] if hidden_only or links else [spec.classes])]
    sizes, top = [spec.shape[0], *widths], -1 if hidden_only else len(widths) - 1
    return [Layer(settings, sizes[k], width, last=k == top) for k, width in enumerate(widths)]
