"""Cleaning of graphs: edges are checked, made simple and given their reverse; features are scaled."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.errors import InputError


def clean_graph(raw: RawGraph, settings: GraphSettings) -> RawGraph:
    """Check the edges of a graph, remove self-loops and double edges, and scale its features.

    Args:
        raw: the graph as read.
        settings: of the data.

    Returns:
        The cleaned graph, with notes on what was changed.

    Raises:
        InputError: edges that no graph net can use.
    """
    edges, notes = _simple(node_pairs(raw.edges, len(raw.x), raw.name), len(raw.x))
    if not edges.numel():
        raise InputError(f"{raw.name} has no edges: a graph needs at least one between two nodes")
    if settings.edges == "symmetrise":
        both = with_reverse(edges, len(raw.x))
        notes += _counted(both.shape[1] - edges.shape[1], "reverse edges were added")
        edges = both
    elif settings.edges == "undirected":
        _refuse_one_way(edges, raw)
    x, scaled = scale(raw.x, settings.features)
    return replace(raw, x=x, edges=edges, notes=(*raw.notes, *notes, *scaled))


def node_pairs(edges: Any, nodes: int, name: str) -> Tensor:
    """Check edges.

    Args:
        edges: node numbers ``(2, E)``, an array, a tensor or nested lists.
        nodes: N.
        name: of the graph, for messages.

    Returns:
        ``(2, E)`` int64.

    Raises:
        InputError: another shape, or names of nodes that are not 0..N-1.
    """
    expected = "expected two rows of node numbers 0..N-1, the sources and the targets"
    try:
        pairs = torch.as_tensor(edges)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name}: edges are not numbers: {expected}") from None
    if pairs.layout != torch.strided or pairs.is_complex() or pairs.dtype == torch.bool:
        raise InputError(f"{name}: edges are {pairs.layout} {pairs.dtype}: {expected}")
    if pairs.dim() != 2 or len(pairs) != 2 or pairs.is_floating_point():
        kind = f"shape {tuple(pairs.shape)} of {str(pairs.dtype).removeprefix('torch.')}"
        hint = " (transpose them)" if pairs.dim() == 2 and pairs.shape[1] == 2 else ""
        raise InputError(f"{name}: edges have {kind}: {expected}{hint}")
    pairs = pairs.long()
    if pairs.numel() and not (int(pairs.min()) >= 0 and int(pairs.max()) < nodes):
        wrong = int(pairs.min()) if int(pairs.min()) < 0 else int(pairs.max())
        raise InputError(f"{name}: an edge names node {wrong} but there are {nodes} nodes: expected 0..N-1")
    return pairs


def with_reverse(edges: Tensor, nodes: int) -> Tensor:
    """Edges in both directions, each once, in ascending order.

    Args:
        edges: ``(2, E)``.
        nodes: N.
    """
    return _unique(torch.cat([edges, edges.flip(0)], 1), nodes)


def _simple(edges: Tensor, nodes: int) -> tuple[Tensor, tuple[str, ...]]:
    """Edges between two nodes, each once, and notes on the others."""
    between = edges[:, edges[0] != edges[1]]
    simple = _unique(between, nodes)
    notes = _counted(edges.shape[1] - between.shape[1], "edges from a node to itself were removed")
    return simple, notes + _counted(between.shape[1] - simple.shape[1], "repeated edges were removed")


def _unique(edges: Tensor, nodes: int) -> Tensor:
    keys = (edges[0] * nodes + edges[1]).unique()
    return torch.stack([keys // nodes, keys % nodes])


def _counted(count: int, what: str) -> tuple[str, ...]:
    """A note on ``count`` things, if there are any."""
    return (f"{count} {what}",) if count else ()


def _refuse_one_way(edges: Tensor, raw: RawGraph) -> None:
    """Refuse an edge without its reverse."""
    nodes = len(raw.x)
    one_way = ~torch.isin(edges[0] * nodes + edges[1], edges[1] * nodes + edges[0])
    if one_way.any():
        a, b = edges[:, one_way][:, 0].tolist()
        raise InputError(
            f"{raw.name}: the edge {a} -> {b} has no reverse edge, one of {int(one_way.sum())} such edges: "
            f"set edges = symmetrise to add the reverse edges, or directed to keep the graph directed"
        )


def scale(x: Tensor, how: str) -> tuple[Tensor, tuple[str, ...]]:
    """Scale the features of each node.

    ``rows`` is torch_geometric's NormalizeFeatures for features whose least value is 0.

    Args:
        x: ``(N, F)``.
        how: ``rows``, ``absolute`` or ``raw``, as in `GraphSettings`.

    Returns:
        The features, and notes.
    """
    if how == "raw":
        return x, ()
    if how == "rows" and (x < 0).any():
        return x, (
            "features hold negative values and are taken as they are: features = absolute divides those of a node by "
            "the sum of their absolute values",
        )
    sums = (x if how == "rows" else x.abs()).sum(1, keepdim=True)
    of = "their sum" if how == "rows" else "the sum of their absolute values"
    return x / sums.clamp(min=1.0), _counted(int((sums > 1).sum()), f"nodes had their features divided by {of}")
