"""Data ``graph:FILE``: the user's graph in a compressed numpy file.

=========== ===================================================== =================================================
holds       dense                                                 sparse, in the parts of `matrices`
=========== ===================================================== =================================================
edges       ``edge_index (2, E)``, ``adj_matrix (N, N)``          ``adj_matrix.PART``, ``adj_PART``
features    ``x``, ``attr_matrix``, ``features (N, F)``           ``attr_matrix.PART``, ``attr_PART``
labels      ``labels``, ``y (N,)``: classes, -1 or NaN for none
masks       ``train_mask``, ``val_mask``, ``test_mask (N,)``
names       ``class_names (C,)``
=========== ===================================================== =================================================

Rows of an adjacency matrix are sources, columns are targets; an edge is there where the entry is not zero, whatever its
value. Masks and names may be left out, and labels too where links are predicted.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from scipy import sparse
from torch import Tensor

from bpfree.data import locations
from bpfree.data.graphs import matrices
from bpfree.data.graphs.cleaning import node_pairs
from bpfree.data.graphs.nodes import MASKS, no_labels, node_features, node_labels, node_masks
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.reader import GraphReader
from bpfree.data.npz import read_arrays
from bpfree.errors import InputError

ADJACENCY, FEATURES = ("adj_matrix", "adj"), ("attr_matrix", "attr")
EDGES, DENSE, LABELS = ("edge_index",), ("x", "features"), ("labels", "y")
_EXPECTED = (
    "expected edges (edge_index, or adj_matrix.data, .indices, .indptr, .shape), features (x, or attr_matrix dense or "
    "in the same parts) and labels"
)


class GraphFile(GraphReader):
    """Reader of nodes, edges, features and classes from a file."""

    wants = "FILE"

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        path = locations.named_path(settings, self.where)
        return read_graph(self.name, f"file {path}", path, labels=settings.task == "node-classification")


def read_graph(name: str, source: str, path: Path, labels: bool = True) -> RawGraph:
    """Read a graph.

    Args:
        name: of the data.
        source: origin of the data, in words.
        path: of the file.
        labels: whether it must hold labels.

    Returns:
        The graph.

    Raises:
        InputError: no such file, not an npz file, damaged, or an array that is missing or does not fit the others.
    """
    ignored: list[str] = []

    def select(names: Collection[str]) -> list[str]:
        edges, features = _keys(names, ADJACENCY, EDGES), _keys(names, FEATURES, DENSE)
        y = next(([key] for key in LABELS if key in names), [])
        lacks = {"edges": not edges, "features": not features, "labels": labels and not y}
        if missing := [what for what, absent in lacks.items() if absent]:
            raise InputError(
                f"{path} lacks {' and '.join(missing)}: {_EXPECTED}; it holds {', '.join(names) or 'nothing'}"
            )
        keys = [*edges, *features, *y, *(key for key in (*MASKS, "class_names") if key in names)]
        ignored.extend(key for key in names if key not in keys)
        return keys

    arrays = read_arrays(path, select)
    y = next((arrays[key] for key in LABELS if key in arrays), None)
    x = _features(arrays, path, None if y is None else len(np.atleast_1d(y)))
    edges, notes = _edges(arrays, path, len(x))
    names = None if "class_names" not in arrays else [str(text) for text in arrays["class_names"].ravel()]
    classes, class_names, of_labels = no_labels(len(x))
    if y is not None and labels:
        classes, class_names, of_labels = node_labels(y, len(x), f"labels of {path}", names)
    if ignored:
        notes += (f"{path}: not read: {', '.join(ignored)}",)
    masks = node_masks(arrays.get, str(path))
    return RawGraph(name, source, x, edges, classes, masks, class_names, True, (*of_labels, *notes))


def _keys(names: Collection[str], stems: Sequence[str], dense: Sequence[str]) -> list[str]:
    """Arrays that hold a matrix: a dense one, or the parts of a sparse one."""
    for key in (*dense, *stems):
        if key in names:
            return [key]
    for stem in stems:
        if parts := [key for key in names if key in _parts(stem)]:
            return parts
    return []


def _parts(stem: str) -> dict[str, str]:
    """Names of arrays to the parts of a sparse matrix."""
    return {f"{stem}{mark}{part}": part for part in matrices.PARTS for mark in "._"}


def _matrix(
    arrays: dict[str, np.ndarray], stems: Sequence[str], path: Path, rows: int | None
) -> tuple[sparse.coo_array, str]:
    """The sparse matrix of one of the stems, and its name for messages."""
    for stem in stems:
        if parts := {part: arrays[key] for key, part in _parts(stem).items() if key in arrays}:
            name = f"{stem} of {path}"
            return matrices.read_matrix(parts, name, rows), name
    raise AssertionError(stems)


def _features(arrays: dict[str, np.ndarray], path: Path, nodes: int | None) -> Tensor:
    """Features ``(N, F)``."""
    for key in (*DENSE, *FEATURES):
        if key in arrays:
            x = node_features(arrays[key], f"{key} of {path}")
            if nodes is not None and len(x) != nodes:
                raise InputError(f"{path} has {len(x)} rows of features but {nodes} labels: expected one label a node")
            return x
    matrix, name = _matrix(arrays, FEATURES, path, nodes)
    return node_features(matrix, name)


def _edges(arrays: dict[str, np.ndarray], path: Path, nodes: int) -> tuple[Tensor, tuple[str, ...]]:
    """Edges ``(2, E)``, and notes."""
    if "edge_index" in arrays:
        return node_pairs(arrays["edge_index"], nodes, str(path)), ()
    for key in ADJACENCY:
        if key in arrays:
            return matrices.edges_of(_square(arrays[key], f"{key} of {path}", nodes), f"{key} of {path}")
    matrix, name = _matrix(arrays, ADJACENCY, path, nodes)
    return matrices.edges_of(_square(matrix, name, nodes), name)


def _square(matrix: np.ndarray | sparse.coo_array, name: str, nodes: int) -> sparse.coo_array:
    """The matrix, which must be ``(N, N)``."""
    if matrix.shape != (nodes, nodes):
        raise InputError(f"{name} has shape {matrix.shape}: expected {nodes} rows and columns, one for each node")
    return matrices.from_dense(matrix, name) if isinstance(matrix, np.ndarray) else matrix
