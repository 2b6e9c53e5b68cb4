"""Labels, features, masks and edges of graphs: what is read, what is left out, and that it is told."""

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data as Geometric
from torch_geometric.transforms import NormalizeFeatures

from bpfree.data import as_data, describe, load
from bpfree.data.graphs.cleaning import scale, with_reverse
from bpfree.data.graphs.nodes import node_features, node_labels
from bpfree.errors import InputError

N = 40
X, Y = np.random.default_rng(2).random((N, 5)), np.arange(N) % 2
RING = np.array([(i, (i + step) % N) for i in range(N) for step in (1, -1)]).T


def ring(settings=None, **changes):
    return as_data({"x": X, "edge_index": RING, "y": Y, **changes}, {"features": "raw", **(settings or {})})


def targets(data) -> dict[int, int]:
    """Class of every node that has a target."""
    parts = (data.train, data.val, data.test)
    return {node: y for part in parts for node, y in zip(part.index.tolist(), part.y.tolist(), strict=True)}


@given(st.lists(st.integers(-1, 5), min_size=2, max_size=30), st.sampled_from(["integers", "floats", "NaN", "None"]))
def test_labels_are_numbered_in_their_order_and_minus_one_is_none(values, kind):
    """By plain Python: the distinct labels, sorted, are the classes."""
    known = sorted({value for value in values if value >= 0})
    as_kind = {"integers": int, "floats": float, "NaN": float, "None": int}[kind]
    absent = {"integers": -1, "floats": -1.0, "NaN": np.nan, "None": None}[kind]
    held = [as_kind(value) if value >= 0 else absent for value in values]
    held = np.array(held, dtype=object) if kind == "None" else np.array(held)
    if len(known) < 2:
        with pytest.raises(InputError, match=r"one class only|holds no label"):
            node_labels(held, len(values), "y")
        return
    y, names, notes = node_labels(held, len(values), "y")
    assert y.tolist() == [known.index(value) if value >= 0 else -1 for value in values]
    assert names == (None if known == list(range(len(known))) else tuple(map(str, known)))
    told = f"y: {values.count(-1)} of {len(values)} nodes have no label (-1) and are in no split"
    assert (told in notes) == (-1 in values)


@pytest.mark.parametrize("absent", [-1, np.nan])
def test_nodes_without_a_label_are_in_no_split(absent):
    y = np.where(np.arange(N) % 4 == 3, absent, Y)
    data = ring(y=y)
    assert targets(data) == {node: node % 2 for node in range(N) if node % 4 != 3}
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 30
    assert "y of graph: 10 of 40 nodes have no label (-1) and are in no split" in data.notes
    assert len(data.train.x) == N


def test_nodes_without_a_label_are_in_no_mask():
    masks = dict(
        zip(("train_mask", "val_mask", "test_mask"), np.eye(3, dtype=int)[np.arange(N) // 12 % 3].T, strict=True)
    )
    masks["test_mask"][36:] = 0
    masks["train_mask"][36:] = 0
    data = ring(y=np.where(np.arange(N) == 2, -1, Y), **masks)
    assert [len(part) for part in (data.train, data.val, data.test)] == [11, 12, 12]
    assert {"4 of 40 nodes have a label but are in none of the masks"} <= {*data.notes}
    assert {"1 nodes of the masks have no label and are left out of them"} <= {*data.notes}


@pytest.mark.parametrize(
    "labels", [Y == 1, Y / 1, np.array(["cat", "dog"])[Y], Y.astype(np.uint8), Y[:, None], Y.tolist(), np.eye(2)[Y]]
)
def test_labels_of_any_kind_are_the_same_classes(labels):
    assert targets(ring(y=labels)) == {node: node % 2 for node in range(N)}


def test_words_are_kept_as_the_names_of_classes():
    assert ring(y=np.array(["dog", "cat"])[Y]).spec.class_names == ("cat", "dog")


@pytest.mark.parametrize(("names", "expected"), [(["a", "b", "c"], ("a", "c")), (None, ("0", "2"))])
def test_names_in_a_file_go_with_the_numbers_of_the_labels(names, expected, tmp_path):
    """Class 1 of three occurs nowhere: its name does not move to another."""
    held = {"x": X, "edge_index": RING, "y": Y * 2} | ({} if names is None else {"class_names": np.array(names)})
    np.savez(tmp_path / "g.npz", **held)
    assert load(f"graph:{tmp_path / 'g.npz'}").spec.class_names == expected


def test_too_few_names_are_refused(tmp_path):
    np.savez(tmp_path / "g.npz", x=X, edge_index=RING, y=Y * 2, class_names=np.array(["a", "b"]))
    with pytest.raises(InputError, match=r"holds label 2 but .*2 class_names: expected one"):
        load(f"graph:{tmp_path / 'g.npz'}")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_features_of_any_type_keep_their_values(dtype):
    """Bytes too: no pixels, nothing is divided by 255."""
    values = np.arange(12).reshape(4, 3).astype(dtype)
    for x in (values, torch.from_numpy(values), values.tolist()):
        read = node_features(x, "x")
        assert read.dtype == torch.float32
        assert read.tolist() == values.astype(float).tolist()


def test_rows_are_torch_geometrics_normalisation():
    x = torch.from_numpy(np.random.default_rng(3).poisson(0.3, (50, 8))).float()
    x[0] = torch.tensor([0.1] * 8)  # a sum below 1 stays
    expected = NormalizeFeatures()(Geometric(x=x.clone())).x
    scaled, notes = scale(x, "rows")
    assert scaled.equal(expected)
    assert notes == (f"{int((x.sum(1) > 1).sum())} nodes had their features divided by their sum",)


def test_signed_features_are_left_alone_unless_their_absolute_values_are_asked_for():
    x = torch.tensor([[1.0, -3.0], [0.25, -0.5], [2.0, 2.0]])
    same, notes = scale(x, "rows")
    assert same.equal(x)
    assert "features hold negative values and are taken as they are" in notes[0]
    scaled, notes = scale(x, "absolute")
    assert scaled.tolist() == [[0.25, -0.75], [0.25, -0.5], [0.5, 0.5]]
    assert notes == ("2 nodes had their features divided by the sum of their absolute values",)
    assert scale(x, "raw") == (x, ())


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40))
def test_edges_are_those_of_a_simple_graph_of_networkx(pairs):
    """Self-loops and repeats are left out and counted; the reverse edges are added and counted."""
    graph = networkx.DiGraph([(a, b) for a, b in pairs if a != b])
    both = set(graph.to_undirected().to_directed().edges)
    y, x = np.arange(8) % 2, np.zeros((8, 2))
    masks = dict(
        zip(("train_mask", "val_mask", "test_mask"), np.eye(3, dtype=int)[np.arange(8) % 6 // 2].T, strict=True)
    )
    held = {"x": x, "edge_index": np.array(pairs).T, "y": y, **masks}
    if not graph.edges:
        with pytest.raises(InputError, match="has no edges"):
            as_data(held, {"edges": "symmetrise"})
        return
    data = as_data(held, {"edges": "symmetrise"})
    assert set(map(tuple, data.train.graph.base.T.tolist())) == both
    loops = sum(a == b for a, b in pairs)
    repeated, added = len(pairs) - loops - len(graph.edges), len(both) - len(graph.edges)
    counts = {
        "edges from a node to itself were removed": loops,
        "repeated edges were removed": repeated,
        "reverse edges were added": added,
    }
    assert data.notes == tuple(f"{count} {what}" for what, count in counts.items() if count)
    assert set(map(tuple, as_data(held, {"edges": "directed"}).train.graph.base.T.tolist())) == set(graph.edges)


def test_reverse_edges_are_each_there_once():
    assert with_reverse(torch.tensor([[0, 2, 1], [1, 1, 0]]), 3).T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]


def test_a_description_lists_the_notes_and_counts_the_unlabelled(tmp_path):
    y = np.where(np.arange(N) < 6, -1, Y)
    np.savez(tmp_path / "g.npz", x=X * 9, edge_index=RING, y=y, remark=np.zeros(1))
    held = describe(f"graph:{tmp_path / 'g.npz'}")
    assert (held["unlabelled"], held["per_class"], sum(held["rows"].values())) == (6, [17, 17], 34)
    assert held["notes"] == [
        f"labels of {tmp_path / 'g.npz'}: 6 of 40 nodes have no label (-1) and are in no split",
        f"{tmp_path / 'g.npz'}: not read: remark",
        "40 nodes had their features divided by their sum",
    ]
