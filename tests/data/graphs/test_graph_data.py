"""Graphs as data: what is read, how it is split, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold, train_test_split

import bpfree.data
from bpfree.data.graphs.splits import folds
from bpfree.errors import InputError
from bpfree.functional.metrics import roc_auc

SHARED = Path(__file__).parents[4] / "shared" / "data"
N, F, K = 30, 6, 3
RNG = np.random.default_rng(0)
RING = np.array([(i, (i + 1) % N) for i in range(N)])
BOTH = np.concatenate([RING, RING[:, ::-1]])
X, Y = RNG.random((N, F)), np.arange(N) % K


@pytest.fixture
def shared(monkeypatch) -> Path:
    """The project's shared data, as ``$BPFREE_DATA_DIR``."""
    if not (SHARED / "planetoid.tar.xz").exists():
        pytest.skip(f"{SHARED} is not here: the project's shared data are only in its own environment")
    monkeypatch.setenv("BPFREE_DATA_DIR", str(SHARED))
    return SHARED


def arrays(edges: np.ndarray = BOTH, n: int = N) -> dict[str, np.ndarray]:
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    start = np.concatenate([[0], np.cumsum(np.bincount(edges[:, 0], minlength=n))])
    masks = np.eye(3, dtype=bool)[np.arange(n) // 10 % 3].T
    return {
        "adj_matrix.indptr": start,
        "adj_matrix.indices": edges[order, 1],
        "adj_matrix.shape": np.array([n, n]),
        "attr_matrix": X,
        "labels": Y,
        **dict(zip(("train_mask", "val_mask", "test_mask"), masks, strict=True)),
    }


def load(folder: Path, settings: dict | None = None, edges: np.ndarray = BOTH, seed: int = 0, **changes):
    """The ring of 30 nodes as ``graph:FILE``, with some arrays changed or, where None, left out."""
    held = {**arrays(edges), **changes}
    np.savez(folder / "g.npz", **{name: array for name, array in held.items() if array is not None})
    return bpfree.data.load(f"graph:{folder / 'g.npz'}", settings, seed)


def test_a_batch_is_the_graph(tmp_path):
    data = load(tmp_path, {"split": "public", "features": "raw"})
    (batch,) = data.train.batches(4)
    assert batch.x.numpy() == pytest.approx(X.astype(np.float32))
    assert {tuple(edge) for edge in batch.graph.edges.T.tolist()} == {tuple(edge) for edge in BOTH.tolist()}
    assert (batch.index.tolist(), batch.y.tolist()) == (list(range(10)), (np.arange(10) % 3).tolist())
    assert (data.spec.task, data.spec.metric, data.spec.nodes, data.spec.classes) == (
        "node-classification",
        "accuracy",
        N,
        K,
    )


def test_no_label_is_in_the_graph_that_may_not_be_seen(tmp_path):
    """Training labels everywhere; validation labels only as the context of a test."""
    data = load(tmp_path, {"split": "public", "virtual_nodes": True})
    train, val = list(range(10)), list(range(10, 20))
    for source, known in ((data.train, train), (data.val, train), (data.test, train + val)):
        graph = source.graph
        assert (graph.labels >= 0).nonzero()[:, 0].tolist() == (graph.joins >= 0).nonzero()[:, 0].tolist() == train
        assert (graph.context >= 0).nonzero()[:, 0].tolist() == known
        assert graph.context[known].tolist() == Y[known].tolist()


@pytest.mark.parametrize("fold", range(5))
def test_paper_split_is_the_published_recipe(tmp_path, fold: int):
    data = load(tmp_path, {"fold": fold})
    rest, test = list(KFold(5, shuffle=True, random_state=101).split(np.zeros(N)))[fold]
    train, val = train_test_split(rest, test_size=0.2, random_state=127 * fold, shuffle=True)
    parts = [source.index.tolist() for source in (data.train, data.val, data.test)]
    assert parts == [sorted(train.tolist()), sorted(val.tolist()), sorted(test.tolist())]


def test_without_a_fold_the_seed_chooses_one_of_five(tmp_path):
    assert load(tmp_path, {"split": "paper"}, seed=12).test.index.equal(load(tmp_path, {"fold": 2}).test.index)


def test_features_sum_to_one_and_virtual_ones_are_normal_and_follow_the_seed(tmp_path):
    first, again, other = (load(tmp_path, {"virtual_nodes": True, "fold": 0}, seed=s).train.x for s in (1, 1, 2))
    expected = X / np.maximum(X.sum(1, keepdims=True), 1)
    assert first[:N].numpy() == pytest.approx(expected.astype(np.float32), rel=1e-6)
    assert first.equal(again)
    assert not first[N:].equal(other[N:])
    assert first.shape == (N + K, F)


def test_sparse_features_are_those_of_the_csr_matrix(tmp_path):
    dense = np.where(RNG.random((N, F)) < 0.3, X, 0)
    row, column = dense.nonzero()
    csr = {
        "attr_matrix.indptr": np.concatenate([[0], np.cumsum(np.bincount(row, minlength=N))]),
        "attr_matrix.indices": column,
        "attr_matrix.data": dense[row, column],
        "attr_matrix.shape": np.array([N, F]),
    }
    data = load(tmp_path, {"features": "raw"}, attr_matrix=None, **csr)
    assert data.train.x.numpy() == pytest.approx(dense.astype(np.float32))


def test_reverse_edges_are_added_or_the_graph_stays_directed(tmp_path):
    both = load(tmp_path, {"edges": "symmetrise"}, RING).train.graph.base
    assert {tuple(edge) for edge in both.T.tolist()} == {tuple(edge) for edge in BOTH.tolist()}
    assert load(tmp_path, {"edges": "directed"}, RING).train.graph.base.shape[1] == N


def test_isolated_nodes_are_allowed_and_counted(tmp_path):
    apart = BOTH[(BOTH != 4).all(1)]
    data = load(tmp_path, edges=apart)
    assert data.train.x.isfinite().all()
    assert bpfree.data.describe(f"graph:{tmp_path / 'g.npz'}")["isolated_nodes"] == 1


NAN = np.where(np.arange(N)[:, None] == 3, np.nan, X)
MASK = np.zeros(N, dtype=bool)
EDGE_BELOW = np.where(np.arange(2 * N) == 4, -1, arrays()["adj_matrix.indices"])
BAD = {
    "directed edges": ({"edges": RING}, {}, "the edge 0 -> 1 has no reverse.*edges = symmetrise"),
    "no edges": ({"edges": BOTH[:0]}, {}, "has no edges"),
    "a class without a training node": (
        {"labels": np.where(np.arange(N) < 10, np.arange(N) % 2, Y)},
        {"split": "public"},
        "class 2 has no training node",
    ),
    "an empty mask": ({"val_mask": MASK}, {"split": "public"}, "the validation mask is empty"),
    "overlapping splits": (
        {"test_mask": np.arange(N) < 1},
        {"split": "public"},
        "node 0, 1 in all, is in the training and in the test mask",
    ),
    "no masks": (
        {"train_mask": None, "val_mask": None, "test_mask": None},
        {"split": "public"},
        "has no masks: use split = paper",
    ),
    "some masks": ({"val_mask": None}, {}, "lacks val_mask"),
    "a mask of another length": ({"val_mask": MASK[1:]}, {"split": "public"}, "one truth value a node"),
    "features with NaN": ({"attr_matrix": NAN}, {}, "row 3 holds NaN"),
    "an array missing": ({"adj_matrix.indices": None}, {}, "adj_matrix of .* lacks indices: expected the parts"),
    "labels missing": ({"labels": None}, {}, "lacks labels"),
    "an edge to nowhere": (
        {"adj_matrix.shape": np.array([N, 5])},
        {},
        "not a CSR matrix of shape .*: indices must be < 5",
    ),
    "too few rows": ({"adj_matrix.indptr": np.arange(N)}, {}, "index pointer size 30 should be 31"),
    "labels of dates": ({"labels": Y.astype("M8[s]")}, {}, "is an array of datetime64"),
    "a label alone": ({"labels": np.array(3)}, {}, "30 rows of features but 1 labels: expected one label a node"),
    "a shape alone": ({"adj_matrix.shape": np.array(N)}, {}, "expected indices, indptr, shape as lists of integers"),
    "rows that are no integers": ({"adj_matrix.indptr": arrays()["adj_matrix.indptr"] / 1}, {}, "is not a CSR matrix"),
    "an edge below zero": ({"adj_matrix.indices": EDGE_BELOW}, {}, "indices must be >= 0"),
    "features of words": ({"attr_matrix": X.astype(str)}, {}, "attr_matrix of .* is an array of <U"),
    "labels below -1": ({"labels": Y - 100}, {}, "holds label -100: expected classes 0..C-1, or -1"),
    "no label": ({"labels": Y * 0 - 1}, {}, "holds no label"),
    "one class beside unlabelled nodes": ({"labels": Y % 2 * 2 - 1}, {}, "one class only"),
    "links from directed edges": (
        {},
        {"task": "link-prediction", "edges": "directed"},
        "link-prediction needs an undirected graph as one batch",
    ),
    "a misspelt setting": ({}, {"fan_aut": 3}, "did you mean fan_out"),
}


def test_sparse_features_that_do_not_fit_are_refused(tmp_path):
    shape, start = np.array([N, 10**15]), np.zeros(N + 1, int)
    sparse = {"attr_matrix.indptr": start, "attr_matrix.indices": start[:0], "attr_matrix.shape": shape}
    with pytest.raises(InputError, match=r"attr_matrix of .* of 30 x 1000000000000000 numbers does not fit"):
        load(tmp_path, attr_matrix=None, **sparse, **{"attr_matrix.data": np.zeros(0)})


def test_four_nodes_cannot_be_split_in_five():
    with pytest.raises(InputError, match="a graph of 4 labelled nodes cannot be split in five"):
        folds(4, 0)


@pytest.mark.parametrize("case", BAD)
def test_bad_graphs_are_refused_in_one_line(case: str, tmp_path):
    changes, settings, says = BAD[case]
    with pytest.raises(InputError, match=says) as caught:
        load(tmp_path, settings, **changes)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_damaged(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(InputError, match="damaged, cut short or not"):
        bpfree.data.load(f"graph:{tmp_path / 'bad.npz'}")
    with pytest.raises(InputError, match="no such file"):
        bpfree.data.load(f"graph:{tmp_path / 'none.npz'}")
    with pytest.raises(InputError, match="write graph:FILE"):
        bpfree.data.load("graph")


def test_processes_cannot_share_a_graph(tmp_path):
    with pytest.raises(InputError, match="train it in one"):
        load(tmp_path).train.batches(4, shard=(0, 2))


def test_links_are_split_without_touching_the_global_random_states(tmp_path):
    import random

    torch_before, python_before = torch.get_rng_state(), random.getstate()
    data = load(tmp_path, {"task": "link-prediction", "fold": 1})
    assert torch_before.equal(torch.get_rng_state())
    assert python_before == random.getstate()
    again = load(tmp_path, {"task": "link-prediction", "fold": 1})
    assert data.test.graph.pairs.equal(again.test.graph.pairs)
    assert (data.spec.task, data.spec.metric, data.spec.classes) == ("link-prediction", "roc-auc", 0)


def test_links_of_validation_and_test_are_not_in_the_graph_they_are_predicted_on(tmp_path):
    """16 % and 20 % of the undirected edges, as many non-edges; the test part sees training and validation edges."""
    data = load(tmp_path, {"task": "link-prediction", "fold": 2})
    ring = {frozenset(edge) for edge in RING.tolist()}

    def pairs(source, linked: int) -> list[frozenset]:
        ends = source.index[source.graph.pairs]
        return [frozenset(pair) for pair, y in zip(ends.T.tolist(), source.y.tolist(), strict=True) if y == linked]

    def edges(source) -> set[frozenset]:
        return {frozenset(edge) for edge in source.graph.edges.T.tolist()}

    train, val, test = (set(pairs(source, 1)) for source in (data.train, data.val, data.test))
    assert (len(train), len(val), len(test)) == (20, 4, 6)
    assert train | val | test == ring
    assert edges(data.train) == edges(data.val) == train
    assert edges(data.test) == train | val
    for source in (data.train, data.val, data.test):
        absent = pairs(source, 0)
        assert len(absent) == len(pairs(source, 1))
        assert not set(absent) & ring


def test_roc_auc_counts_pairs_in_order_with_ties_as_half():
    rng = np.random.default_rng(0)
    scores, y = rng.integers(0, 5, 60) / 4, rng.integers(0, 2, 60)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[y == 1] for n in scores[y == 0]]
    assert roc_auc(torch.from_numpy(scores), torch.from_numpy(y)).item() == pytest.approx(np.mean(pairs), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cora", (2708, 10556, 1433, 7, [140, 500, 1000])),
        ("citeseer", (3327, 9104, 3703, 6, [120, 500, 1000])),
        ("pubmed", (19717, 88648, 500, 3, [60, 500, 1000])),
    ],
)
def test_planetoid_has_its_published_counts_and_splits(name, expected, shared):
    description = bpfree.data.describe(name, {"split": "public"})
    counts = tuple(description[key] for key in ("nodes", "directed_edges", "features", "classes"))
    assert (*counts, list(description["rows"].values())) == expected


def test_coraml_is_the_graph_of_the_paper(shared):
    description = bpfree.data.describe("coraml", {"fold": 0})
    counts = tuple(description[key] for key in ("nodes", "directed_edges", "features", "classes"))
    assert counts == (2995, 16316, 2879, 7)
    assert description["per_class"] == [354, 402, 452, 442, 857, 193, 295]
    assert description["rows"] == {"train": 1916, "val": 480, "test": 599}
    assert description["nonzero_features"] * 2879 == pytest.approx(50.5, abs=0.05)
    json.dumps(description)


def test_a_graph_that_is_nowhere_says_where_to_put_it(tmp_path, monkeypatch):
    import torch_geometric.datasets

    def offline(*args):
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch_geometric.datasets, "Planetoid", offline)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("BPFREE_DATA_DIR", raising=False)
    with pytest.raises(InputError, match=r"network is unreachable.*set BPFREE_DATA_DIR"):
        bpfree.data.load("cora", {"data_dir": str(tmp_path)})
