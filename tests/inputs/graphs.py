"""Graphs in files and in memory: sparse matrices, labels, masks, edges, weights and features of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import torch
from scipy import sparse
from torch_geometric.data import Data as Geometric
from torch_geometric.transforms import NormalizeFeatures
from torch_geometric.utils import coalesce, remove_self_loops, to_networkx, to_undirected

from bpfree.data import as_data, load
from tests.inputs.case import Case

N = 12
EDGES = np.array([(i, (i + step) % N) for i in range(N) for step in (1, -1)]).T
WORDS = np.array([0, 2, 2, 1, 0, 2, 1, 1, 3, 0, 3, 3] * 3)  # three words a node, some of them repeated
STARTS = np.arange(0, 3 * N + 1, 3)
Y = [node % 2 for node in range(N)]
X = [[node / 8, (node * 5 % N) / 4] for node in range(N)]  # exact in float32
MASKS = {f"{part}_mask": [node // 4 == k for node in range(N)] for k, part in enumerate(("train", "val", "test"))}
RAW = {"features": "raw"}


def counts() -> sparse.csr_matrix:
    """Words counted as in scipy's documentation: one entry for each word that is read."""
    return sparse.csr_matrix((np.ones(len(WORDS)), WORDS, STARTS), shape=(N, 4))


def adjacency(values: Any = None) -> sparse.coo_matrix:
    ones = np.ones(EDGES.shape[1]) if values is None else np.asarray(values)
    return sparse.coo_matrix((ones, tuple(EDGES)), shape=(N, N))


def parts(matrix: Any, prefix: str) -> dict[str, Any]:
    """A sparse matrix in the parts of ``scipy.sparse.save_npz``."""
    keys = {"coo": ("row", "col"), "dia": ("offsets",)}.get(matrix.format, ("indices", "indptr"))
    held = {key: getattr(matrix, key) for key in (*keys, "data")}
    return {f"{prefix}{key}": part for key, part in {**held, "shape": matrix.shape, "format": matrix.format}.items()}


def content(data: Any) -> dict[str, Any]:
    """Features, edges, and the class of every node that has a target, as text."""
    names, targets = data.spec.class_names, {}
    for part in (data.train, data.val, data.test):
        for node, y in zip(part.index.tolist(), part.y.tolist(), strict=True):
            targets[node] = names[y] if names else str(y)
    edges = sorted(map(tuple, data.train.graph.base.T.tolist()))
    return {"x": data.train.x.tolist(), "edges": edges, "labels": [targets.get(node, "none") for node in range(N)]}


def right(x: Any = X, edges: Any = None, labels: Any = Y) -> dict[str, Any]:
    """The form of `content`, from plain lists; ``edges`` as pairs."""
    pairs = sorted(map(tuple, EDGES.T.tolist())) if edges is None else sorted(map(tuple, edges))
    return {"x": np.asarray(x).tolist(), "edges": pairs, "labels": [str(label) for label in labels]}


def file(name: str, arrays: Callable[[], dict], expected: Any, **settings: Any) -> Case:
    """A ``graph:FILE`` that holds the arrays beside plain ones for what they leave out."""

    def make(folder: Path) -> str:
        held = {"y": Y, **arrays()}
        held |= {} if any("attr" in key or key == "x" for key in held) else {"x": X}
        held |= {} if any("adj" in key or key == "edge_index" for key in held) else {"edge_index": EDGES}
        np.savez(folder / "g.npz", **{key: np.asarray(value) for key, value in held.items()})
        return f"graph:{folder / 'g.npz'}"

    return Case(f"graph file: {name}", "data", make, lambda name: content(load(name, {**RAW, **settings})), expected)


def memory(name: str, graph: Callable[[], Any], expected: Any, **settings: Any) -> Case:
    """A graph given to ``train`` and ``fit``."""
    read = lambda graph: content(as_data(graph, {**RAW, **settings}))  # noqa: E731
    return Case(f"graph: {name}", "fit", lambda folder: graph(), read, expected)


def told(name: str, graph: Callable[[], Any], note: str, **settings: Any) -> Case:
    """A graph of which something is left out or changed, and the line that says so."""
    read = lambda graph: [line for line in as_data(graph, settings).notes if line == note]  # noqa: E731
    return Case(f"note: {name}", "fit", lambda folder: graph(), read, lambda graph: [note])


def arrays(**changes: Any) -> dict[str, Any]:
    return {"x": X, "edge_index": EDGES, "y": Y, **changes}


def geometric(**changes: Any) -> Geometric:
    held = {"x": np.array(X, np.float32), "edge_index": EDGES, "y": Y, **changes}
    return Geometric(**{key: torch.as_tensor(np.asarray(value)) for key, value in held.items()})


def simple(edges: np.ndarray, reverse: bool) -> list:
    """Edges as torch_geometric has them without self-loops and repeats."""
    kept = coalesce(remove_self_loops(torch.as_tensor(edges))[0])
    return (to_undirected(kept) if reverse else kept).T.tolist()


def files() -> list[Case]:
    dense = counts().toarray()
    signed = np.array([1.0, 0.0, -2.0, 0.5, 1.0, 1.0] * 4)
    zeroed = adjacency(signed).toarray()
    both = [(a, b) for a, b in zip(*zeroed.nonzero(), strict=True)]
    forms = {form: lambda form=form: parts(counts().asformat(form), "attr_matrix.") for form in ("csc", "bsr", "coo")}
    cut = {"adj_matrix.indices": [1, 0], "adj_matrix.indptr": [1, *[2] * N], "adj_matrix.shape": [N, N]}
    return [
        file("CSR features with repeated entries", lambda: parts(counts(), "attr_"), lambda made: right(dense)),
        *(file(f"{form.upper()} features", make, lambda made: right(dense)) for form, make in forms.items()),
        file("CSR adjacency with repeats", lambda: parts(adjacency().tocsr() * 2, "adj_"), lambda made: right()),
        file("COO adjacency, each entry twice", lambda: twice(), lambda made: right()),
        file("weights, and stored zeros that are no edges", lambda: parts(adjacency(signed), "adj_matrix."),
             lambda made: right(edges=both), edges="directed"),
        file("a dense adjacency", lambda: {"adj_matrix": adjacency().toarray()}, lambda made: right()),
        file("arrays x, edge_index, y of torch_geometric", arrays, lambda made: right()),
        file("pointers that do not begin at 0", lambda: cut, "index pointer should start with 0"),
        file("labels of words", lambda: {"y": ["ab"[y] for y in Y]}, lambda made: right(labels=["ab"[y] for y in Y])),
        file("labels with -1", lambda: {"y": [-1, 0, *Y[2:]]}, lambda made: right(labels=["none", 0, *Y[2:]])),
        file("an array of objects", lambda: {"y": np.array(Y, object)}, "pickled Python objects"),
        file("bytes as features", lambda: {"x": dense.astype(np.uint8)}, lambda made: right(dense)),
        file("features of words", lambda: {"x": dense.astype(str)}, "expected numbers"),
    ]  # fmt: skip


def twice() -> dict[str, Any]:
    """Every edge stored two times."""
    rows, columns = np.tile(EDGES, 2)
    return {"adj_matrix.row": rows, "adj_matrix.col": columns, "adj_matrix.shape": [N, N]}


def in_memory() -> list[Case]:
    loops = np.concatenate([EDGES, [[3, 3], [3, 4]]], 1)  # one self-loop, one repeat
    half = EDGES[:, ::2]
    positive = np.random.default_rng(0).poisson(1.0, (N, 5)).astype(np.float32)
    signed = [[1.0, -3.0], *X[1:]]
    masked = {node: str(Y[node]) for node in range(N)}
    return [
        memory("torch_geometric's Data", geometric, lambda made: right()),
        memory("its masks are the split", lambda: geometric(**MASKS), lambda made: right(labels=masked.values())),
        memory("a mapping of lists", arrays, lambda made: right()),
        memory("a scipy matrix as x", lambda: arrays(x=counts()), lambda made: right(made["x"].toarray())),
        memory("a graph of networkx", lambda: to_networkx(geometric(), ["x", "y"], to_undirected=True),
               lambda made: right([made.nodes[k]["x"] for k in made], networkx.DiGraph(made).edges)),
        memory("float labels with NaN", lambda: arrays(y=[np.nan, *map(float, Y[1:])]),
               lambda made: right(labels=["none", *Y[1:]])),
        memory("boolean labels and features", lambda: arrays(x=np.array(X) > 1, y=np.array(Y) > 0),
               lambda made: right(np.array(X) > 1, labels=["False" if y == 0 else "True" for y in Y])),
        memory("integer features", lambda: arrays(x=np.arange(2 * N).reshape(N, 2)),
               lambda made: right(np.arange(2 * N).reshape(N, 2))),
        memory("self-loops and repeats", lambda: arrays(edge_index=loops),
               lambda made: right(edges=simple(loops, reverse=False))),
        memory("directed edges made undirected", lambda: arrays(edge_index=half),
               lambda made: right(edges=simple(half, reverse=True)), edges="symmetrise"),
        memory("directed edges", lambda: arrays(edge_index=half), "has no reverse edge"),
        memory("rows divided by their sum", lambda: geometric(x=positive),
               lambda made: right(NormalizeFeatures()(made.clone()).x), features="rows"),
        memory("signed features as they are", lambda: arrays(x=signed), lambda made: right(signed), features="rows"),
        memory("signed features by absolute values", lambda: arrays(x=signed),
               lambda made: right([[a / max(1, abs(a) + abs(b)), b / max(1, abs(a) + abs(b))] for a, b in signed]),
               features="absolute"),
        memory("edges of words", lambda: arrays(edge_index=[["a", "b"], ["b", "a"]]), "edges are not numbers"),
        memory("no features", lambda: {"edge_index": EDGES, "y": Y}, "graph has no x"),
        told("self-loops", lambda: arrays(edge_index=loops), "1 edges from a node to itself were removed"),
        told("repeats", lambda: arrays(edge_index=loops), "1 repeated edges were removed"),
        told("reverse edges", lambda: arrays(edge_index=half), "12 reverse edges were added", edges="symmetrise"),
        told("weights", lambda: arrays(edge_weight=np.ones(24) / 2),
             "edge_weight is not used: an edge is there or not"),
        told("unlabelled nodes", lambda: arrays(y=[-1, *Y[1:]]),
             "y of graph: 1 of 12 nodes have no label (-1) and are in no split"),
    ]  # fmt: skip


def cases() -> list[Case]:
    return [*files(), *in_memory()]
