"""Graph net: layers that gather from neighbours, GCN, GraphSAGE or GAT.

Block k is ``h -> relu(conv_k(h, graph))``, or with ``row_norm`` ``relu(conv_k(h / |h|, graph))``; unless a rule brings
its own heads, the last block has no ReLU: class scores, or embeddings where links are to be predicted. The convolutions
are torch_geometric's, with its initial weights.

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
    """The parts side by side, ``(N, n)``, times ``weight (m, n)``."""
    first, *rest = parts
    if not rest:
        return times(first, weight.T)
    above = torch.cat(cast(list[Tensor], rest), 1)
    below, over = weight.split([weight.shape[1] - above.shape[1], above.shape[1]], 1)
    return times(first, below.T) + above @ over.T


class Conv(nn.Module):
    """A convolution of torch_geometric: ``forward(parts of (N, n), graph) -> (N, m)``.

    Where what is gathered does not depend on the weights, ``gather`` and ``transform`` are its two halves.
    """

    gathers = True

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv: Any = conv

    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        raise NotImplementedError

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, pick: Pick, scaled: bool) -> tuple[Fixed, ...]:
        """From a fixed ``h``, what the linear maps need for ``rows``."""
        raise NotImplementedError

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        """The rest, ``(r, m)``."""
        raise NotImplementedError


class Gcn(Conv):
    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        weight = self.conv.lin.weight
        return graph.gcn(weight.dtype) @ linear(parts, weight) + self.conv.bias

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, pick: Pick, scaled: bool) -> tuple[Fixed, ...]:
        return (gather(pick(graph.gcn(h.dtype)), h, scaled),)

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        return times(gathered[0], self.conv.lin.weight.T, self.conv.bias)


class Sage(Conv):
    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        around, own = self.conv.lin_l, self.conv.lin_r
        return graph.mean(own.weight.dtype) @ linear(parts, around.weight) + around.bias + linear(parts, own.weight)

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, pick: Pick, scaled: bool) -> tuple[Fixed, ...]:
        around = pick(graph.mean(h.dtype))
        ones = around.values.new_ones(len(rows))
        own = Matrix(torch.arange(len(rows), device=h.device), rows, ones, (len(rows), len(h)))
        return gather(around, h, scaled), gather(own, h, scaled)

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        around, own = gathered
        return times(around, self.conv.lin_l.weight.T, self.conv.lin_l.bias) + times(own, self.conv.lin_r.weight.T)


class Gat(Conv):
    gathers = False

    def forward(self, parts: Sequence[Fixed], graph: Graph) -> Tensor:
        return self.conv(torch.cat(parts, 1), graph.made("edges", lambda: graph.edges))  # type: ignore[arg-type]


class Layer(nn.Module):
    """``activation(conv(row_norm(h), graph))``; the input may be several parts side by side, each scaled alone.

    Args:
        chosen: the net's settings.
        fan_in, width: features in and out.
        last: without ReLU, and with the mean of the attention heads instead of all of them.
    """

    takes_graph = True

    def __init__(self, chosen: Settings, fan_in: int, width: int, last: bool = False) -> None:
        super().__init__()
        self.chosen, self.fan_in, self.width, self.last = chosen, fan_in, width, last
        self.activation = nn.Identity() if last else nn.ReLU()
        self.widen(0)

    def widen(self, above: int) -> None:
        """New weights, for an input with ``above`` features more."""
        convolutions = geometric("torch_geometric.nn")
        chosen, fan_in = self.chosen, self.fan_in + above
        if chosen.conv == "gat":
            each = self.width if self.last else self.width // chosen.attention_heads
            self.conv: Conv = Gat(convolutions.GATConv(fan_in, each, chosen.attention_heads, concat=not self.last))
        else:
            wrap, inner = {"gcn": (Gcn, convolutions.GCNConv), "sage": (Sage, convolutions.SAGEConv)}[chosen.conv]
            self.conv = wrap(inner(fan_in, self.width))

    @property
    def gathers(self) -> bool:
        """Whether `gather` and `transform` give what `forward` does: not where attention depends on the weights."""
        return self.conv.gathers

    def scaled(self, h: Tensor) -> Tensor:
        return row_norm(h) if self.chosen.row_norm else h

    def fixed(self, h: Tensor) -> Tensor | Matrix:
        """A fixed input for `forward`: scaled and in sparse form if its nodes have few features."""
        form = sparse(h, self.chosen.row_norm) if self.gathers else None
        return h if form is None else form

    def forward(self, h: Tensor | Matrix, graph: Graph | None = None, *above: Tensor) -> Tensor:
        parts = [self.scaled(part) if isinstance(part, Tensor) else part for part in (h, *above)]
        graph = alone(len(parts[0]), h.device) if graph is None else graph  # type: ignore[arg-type, union-attr]
        return self.activation(self.conv(parts, graph))

    def gather(self, h: Tensor, graph: Graph, rows: Tensor, draws: torch.Generator | None = None) -> tuple[Fixed, ...]:
        """What a fixed ``h`` gives for ``rows``, with the graph's fan-out where it samples; for `transform`."""

        def pick(matrix: Matrix) -> Matrix:
            return matrix.take(rows, graph.fan_out if draws is not None else None, draws)

        return self.conv.gather(h, graph, rows, pick, self.chosen.row_norm)

    def transform(self, gathered: tuple[Fixed, ...]) -> Tensor:
        return self.activation(self.conv.transform(gathered))


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Layers for nodes with ``spec.shape`` features."""
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
