"""Recognition of graphs in memory, without importing the libraries that they come from."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bpfree.training.data import Data


def is_graph(value: Any) -> bool:
    """True for a mapping or an object with ``edge_index``, a data set of torch_geometric or a graph of networkx."""
    if isinstance(value, Tensor | str):
        return False
    return (
        is_of(value, "networkx", "adj")
        or is_of(value, "torch_geometric", "len")
        or array_of(value, "edge_index") is not None
    )


def is_ready_graph(value: Any) -> bool:
    """True for bpfree data of a graph, split already."""
    return isinstance(value, Data) and bool(value.spec.nodes)


def is_of(value: Any, library: str, attribute: str) -> bool:
    """True for an object of a library with an attribute.

    Args:
        value: anything.
        library: name of a package.
        attribute: that its graphs, or data sets, have and its other classes have not.
    """
    return type(value).__module__.partition(".")[0] == library and hasattr(value, attribute)


def array_of(graph: Any, key: str) -> Any:
    """An array of a graph by its name; None where there is none."""
    return graph.get(key) if isinstance(graph, Mapping) else getattr(graph, key, None)
