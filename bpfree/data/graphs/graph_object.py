"""Graphs in memory: torch_geometric's ``Data``, its arrays ``x, edge_index, y``, and graphs of networkx.

A mapping or an object with ``x (N, F)``, ``edge_index (2, E)`` and ``y (N,)`` is a graph; ``train_mask``, ``val_mask``
and ``test_mask (N,)`` are its split where it has them. Labels, features and edges are read as from a file
(`bpfree.data.graphs.graph_file`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bpfree.data.graphs.cleaning import clean_graph, node_pairs
from bpfree.data.graphs.nodes import no_labels, node_features, node_labels, node_masks
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.reader import graph_settings, split_graph
from bpfree.data.graphs.recognition import array_of, is_of
from bpfree.errors import InputError
from bpfree.graphs.graph import geometric
from bpfree.training.data import Data

_WEIGHTS = ("edge_weight", "edge_attr")


def graph_data(value: Any, settings: Any = None, seed: int = 0) -> Data:
    """Check, clean and split a graph in memory.

    Args:
        value: a graph by `recognition.is_graph`.
        settings: of graphs, or a mapping of some of them; those of other data must be at their defaults.
        seed: of the run.

    Returns:
        The data, ready to train on.

    Raises:
        InputError: several graphs, a setting that graphs do not have, or an array that is missing or does not fit the
            others.
    """
    settings = graph_settings(_of_graphs(settings))
    raw = graph_in_memory("graph", "given in memory", value, settings)
    return split_graph(clean_graph(raw, settings), settings, seed)


def graph_in_memory(name: str, source: str, value: Any, settings: GraphSettings) -> RawGraph:
    """Convert a graph in memory in any of the forms above.

    Args:
        name: of the data.
        source: origin of the data, in words.
        value: a graph by `recognition.is_graph`.
        settings: of the data.

    Raises:
        InputError: several graphs, or an array that is missing or does not fit the others.
    """
    labels = settings.task == "node-classification"
    return raw_graph(name, source, _one(value), labels=labels, masks_first=True)


def _of_graphs(settings: Any) -> Mapping[str, Any] | GraphSettings | None:
    """Settings of graphs. Those of arrays are there where a graph came by a door that could not know it for one."""
    if settings is None or isinstance(settings, Mapping | GraphSettings):
        return settings
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name not in ("data_dir", "split_seed") and value != getattr(type(settings)(), field.name):
            raise InputError(f"{field.name} = {value} has no effect on a graph: remove it")
    return None


def _one(value: Any) -> Any:
    """The mapping or object with ``edge_index``."""
    if is_of(value, "torch_geometric", "len"):
        if len(value) != 1:
            raise InputError(f"{type(value).__name__} holds {len(value)} graphs: give one, whose nodes have classes")
        return value[0]
    if not is_of(value, "networkx", "adj"):
        return value
    try:  # the nodes numbered in their order, their attributes as arrays
        return geometric("torch_geometric.utils").from_networkx(value)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"this graph of networkx cannot be read ({error}): give every node x and y") from None


def raw_graph(name: str, source: str, graph: Any, labels: bool = True, masks_first: bool = False) -> RawGraph:
    """Convert a graph in memory.

    Args:
        name: of the data.
        source: origin of the data, in words.
        graph: a mapping or an object with ``x``, ``edge_index`` and ``y``.
        labels: whether ``y`` is read.
        masks_first: as in `RawGraph`.

    Returns:
        The same graph.

    Raises:
        InputError: an array that is missing or does not fit the others.
    """
    x, y = array_of(graph, "x"), array_of(graph, "y")
    for key, value, needed in (("x", x, True), ("y", y, labels)):
        if needed and value is None:
            raise InputError(f"{name} has no {key}: expected x (nodes, features), edge_index (2, edges) and y (nodes)")
    x = node_features(x, f"x of {name}")
    classes, names, notes = no_labels(len(x))
    if labels:
        classes, names, notes = node_labels(y, len(x), f"y of {name}")
    notes += tuple(
        f"{key} is not used: an edge is there or not" for key in _WEIGHTS if array_of(graph, key) is not None
    )
    masks = node_masks(lambda key: array_of(graph, key), name)
    edges = node_pairs(array_of(graph, "edge_index"), len(x), name)
    return RawGraph(name, source, x, edges, classes, masks, names, masks_first, notes)
