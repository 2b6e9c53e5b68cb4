"""Graphs in memory: the doors that take them, and that they are the graph of a file with the same arrays."""

import networkx
import numpy as np
import pytest
import torch
from scipy import sparse
from torch_geometric.data import Data as Geometric
from torch_geometric.datasets import FakeDataset
from torch_geometric.utils import to_networkx

import bpfree
from bpfree.data import as_data
from bpfree.data.graphs.recognition import is_graph
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError

N, F = 30, 6
RNG = np.random.default_rng(1)
X, Y = RNG.random((N, F)), np.arange(N) % 3
RING = np.array([(i, (i + step) % N) for i in range(N) for step in (1, -1)]).T
MASKS = dict(zip(("train_mask", "val_mask", "test_mask"), np.eye(3, dtype=bool)[np.arange(N) // 10].T, strict=True))


def geometric(**changes) -> Geometric:
    arrays = {"x": X.astype(np.float32), "edge_index": RING, "y": Y, **MASKS, **changes}
    return Geometric(**{key: value if value is None else torch.as_tensor(value) for key, value in arrays.items()})


class Plain:
    """Any object with the three arrays."""

    x, edge_index, y = X, RING, Y


def parts(data) -> list[list[int]]:
    return [source.index.tolist() for source in (data.train, data.val, data.test)]


def same(a, b) -> bool:
    """Equal features, edges, parts and targets."""
    pairs = zip((a.train, a.val, a.test), (b.train, b.val, b.test), strict=True)
    return a.train.graph.base.equal(b.train.graph.base) and all(
        p.x.equal(q.x) and p.y.equal(q.y) and p.index.equal(q.index) for p, q in pairs
    )


def test_the_masks_of_a_graph_are_its_split():
    assert parts(as_data(geometric())) == [list(range(10)), list(range(10, 20)), list(range(20, 30))]


def test_without_masks_or_with_a_fold_the_recipe_splits():
    bare = geometric(train_mask=None, val_mask=None, test_mask=None)
    assert (
        parts(as_data(bare, seed=3))
        == parts(as_data(geometric(), {"fold": 3}))
        == parts(as_data(geometric(), {"split": "paper"}, seed=3))
    )


def test_a_file_and_every_object_with_its_arrays_are_one_graph(tmp_path):
    np.savez(tmp_path / "g.npz", x=X, edge_index=RING, y=Y)
    expected = bpfree.data.load(f"graph:{tmp_path / 'g.npz'}")
    arrays = {"x": X, "edge_index": RING, "y": Y}
    lists = {"x": X.tolist(), "edge_index": RING.tolist(), "y": Y.tolist()}
    bare = geometric(train_mask=None, val_mask=None, test_mask=None)
    for graph in (arrays, lists, Plain(), bare, {**arrays, "x": sparse.csr_matrix(X)}):
        assert same(as_data(graph), expected)


def test_sparse_tensors_are_features():
    graph = geometric(x=torch.from_numpy(X).float().to_sparse())
    assert same(as_data(graph), as_data(geometric()))


def test_a_graph_of_networkx_keeps_the_order_of_its_nodes():
    graph = to_networkx(geometric(train_mask=None, val_mask=None, test_mask=None), ["x", "y"], to_undirected=True)
    named = networkx.relabel_nodes(graph, {node: f"node {node}" for node in graph})
    assert same(as_data(named), as_data(Plain()))


def test_names_of_classes_in_networkx_are_kept():
    graph = networkx.cycle_graph(10)
    for node in graph:
        graph.nodes[node].update(x=[float(node)], y=("odd", "even")[node % 2 == 0])
    data = as_data(graph)
    assert data.spec.class_names == ("even", "odd")
    assert data.train.y.tolist() == [node % 2 for node in data.train.index.tolist()]


def test_train_and_fit_take_a_graph(tmp_path):
    """One data set through two doors gives one result."""
    settings = {"epochs": 2, "hidden": (8,), "threads": 1}
    record = bpfree.train("backprop", geometric(), out=tmp_path / "run", meter="none", **settings)
    trainer = bpfree.rules.rule("backprop")(net="gnn", hidden=(8,), epochs=2)
    history = trainer.fit(geometric())
    assert record["config"]["net"] == "gnn"
    assert record["data"]["nodes"] == N
    assert [line["val"] for line in record["history"]] == [line["val"] for line in history]
    assert record["extensions"]["notes"]["data"] == list(as_data(geometric()).notes)
    scores = bpfree.load(tmp_path / "run").predict(as_data(geometric()).test)
    assert (scores.argmax(1) == torch.from_numpy(Y[20:])).double().mean().item() == record["result"]["test"]


def test_settings_of_graphs_are_settings_of_train(tmp_path):
    record = bpfree.train(
        "backprop", geometric(), out=tmp_path / "run", meter="none", epochs=1, hidden=(4,), features="raw", fold=1
    )
    assert (record["config"]["features"], record["config"]["fold"]) == ("raw", 1)
    with pytest.raises(InputError, match="unknown setting 'shift'"):
        bpfree.train("backprop", geometric(), out=tmp_path / "other", meter="none", shift=1)


def test_settings_of_arrays_do_not_pass_for_those_of_graphs():
    assert same(as_data(geometric(), DataSettings()), as_data(geometric()))
    with pytest.raises(InputError, match="subset = 3 has no effect on a graph: remove it"):
        as_data(geometric(), DataSettings(subset=3))


def test_links_need_no_labels():
    data = as_data(geometric(y=None), {"task": "link-prediction", "fold": 0})
    assert (data.spec.task, len(data.test.y)) == ("link-prediction", 12)


def test_edge_weights_that_are_not_used_are_told():
    weighted = geometric(edge_weight=np.full(2 * N, 0.5), edge_attr=np.ones((2 * N, 2)))
    notes = as_data(weighted).notes
    assert [note for note in notes if "edge_" in note] == [
        "edge_weight is not used: an edge is there or not",
        "edge_attr is not used: an edge is there or not",
    ]


def test_only_graphs_are_graphs():
    assert not any(map(is_graph, ((X, Y), X, {"x": X, "y": Y}, "edge_index", None, torch.ones(2), [1])))


WORDS = [["a", "b"], ["b", "a"]]
BAD = {
    "no features": ({"x": None}, "graph has no x: expected x"),
    "no labels": ({"y": None}, "graph has no y: expected x"),
    "another number of labels": ({"y": Y[:9]}, r"y of graph has shape \(9,\) but there are 30 nodes"),
    "several labels a node": ({"y": np.ones((N, 4))}, r"y of graph has shape \(30, 4\)"),
    "features of one axis": ({"x": X[:, 0]}, "x of graph has shape"),
    "pairs as rows": ({"edge_index": RING.T}, r"edges have shape \(60, 2\) of int64.*transpose them"),
    "names of nodes": ({"edge_index": WORDS}, "edges are not numbers: expected two rows of node numbers"),
    "floats as nodes": ({"edge_index": RING / 1}, "of float64: expected two rows of node numbers"),
    "a node that is not there": ({"edge_index": RING + 1}, r"an edge names node 30 but there are 30 nodes"),
    "a node below 0": ({"edge_index": RING - 1}, r"an edge names node -1"),
    "several splits": ({"train_mask": np.ones((N, 10), bool)}, "train_mask of graph holds 10 splits"),
    "a mask of numbers": ({"val_mask": np.arange(N)}, "val_mask of graph must hold one truth value a node"),
    "one mask": ({"val_mask": None, "test_mask": None}, "graph lacks val_mask and test_mask"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_graphs_are_refused_in_one_line(case: str):
    changes, says = BAD[case]
    with pytest.raises(InputError, match=says) as caught:
        as_data({"x": X, "edge_index": RING, "y": Y, **MASKS, **changes})
    assert "\n" not in str(caught.value)


def test_several_graphs_are_refused():
    with pytest.raises(InputError, match="FakeDataset holds 2 graphs: give one"):
        as_data(FakeDataset(num_graphs=2))


def test_the_only_graph_of_a_data_set_is_read():
    data = FakeDataset(num_graphs=1, avg_num_nodes=40, num_channels=8, task="node", num_classes=2)
    assert same(as_data(data, {"edges": "symmetrise"}), as_data(data[0], {"edges": "symmetrise"}))


def test_nodes_of_networkx_without_attributes_are_refused():
    graph = networkx.cycle_graph(10)
    graph.nodes[0]["x"] = [1.0]
    with pytest.raises(InputError, match=r"cannot be read .*: give every node x and y"):
        as_data(graph)
