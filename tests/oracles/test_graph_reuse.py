"""Values that are computed once give the weights that recomputing gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_cases import BASE, K, N, data_of, features, trained
from small import loop_of, make

from bpfree.graphs import sparse
from bpfree.graphs.sparse import Gathered, Matrix


def sparse_features(virtual: int) -> np.ndarray:
    """60 features, 3 of them in each real node."""
    rng = np.random.default_rng(1)
    x = np.zeros((N + virtual, 60))
    for node in range(N):
        x[node, rng.choice(60, 3, replace=False)] = 1
    x[N:] = rng.normal(size=(virtual, 60))
    return x


@pytest.mark.parametrize("conv", ["gcn", "sage"])
@pytest.mark.parametrize("algo", ["forward-gnn", "forward-gnn-ff-la", "forward-gnn-ff-vn"])
def test_fast_path_gives_the_weights_of_the_plain_one(algo: str, conv: str):
    """12 steps of Adam a layer, sparse input and dense hidden layers: to 1e-5."""
    virtual = algo != "forward-gnn-ff-la"
    states = []
    for reuse in (True, False):
        data = data_of(virtual, sparse_features(K if virtual else 0))
        values = {"optimizer": "adam", "lr": 0.01, "conv": conv, "hidden": (8, 8, 8), "reuse": reuse}
        _, _, loop = trained(algo, data, steps=12, **values)
        states.append(loop.trainer.state_dict())
    for name, fast in states[0].items():
        torch.testing.assert_close(fast, states[1][name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("algo", ["backprop", "forward-gnn-top-to-input", "forward-gnn-top-to-loss"])
def test_sparse_first_layer_gives_the_weights_of_the_dense_one(algo: str, monkeypatch):
    """12 steps of Adam, with features kept sparse and with none: to 1e-5. The baseline is as fast as it can be."""
    states = []
    for limit, kind in ((0.0, type(None)), (1.0, Matrix)):
        monkeypatch.setattr("bpfree.graphs.sparse.SPARSE", limit)
        data = data_of(x=sparse_features(K))
        _, _, loop = trained(algo, data, steps=12, optimizer="adam", lr=0.01, hidden=(8, 8), row_norm=True)
        assert [type(form) for _, form in sparse._forms[loop.data.train.x].values()] == [kind]
        states.append(loop.trainer.state_dict())
    for name, dense in states[0].items():
        torch.testing.assert_close(dense, states[1][name], rtol=1e-5, atol=1e-5)


def test_fast_path_keeps_sparse_features_sparse_and_touches_only_the_rows_of_the_loss():
    _, _, loop = trained("forward-gnn", data_of(x=sparse_features(K)))
    gathered = [value for _, value in loop.trainer.once.kept.values() if isinstance(value[0], Gathered)]
    assert [part.left.shape[0] for part, *_ in gathered] == [5 + K]


@pytest.mark.parametrize("algo", ["forward-gnn", "forward-gnn-ff-la", "forward-gnn-ff-vn"])
def test_a_prediction_on_the_training_nodes_is_no_loss(algo: str):
    """Both follow from the same objects, and of a net of one layer from nothing else."""
    virtual = algo != "forward-gnn-ff-la"
    data = data_of(virtual, sparse_features(K if virtual else 0))
    _, _, loop = trained(algo, data, steps=2, hidden=(4,))
    found = loop.scores(loop.data.train)[0]
    loop.trainer.settings = replace(loop.trainer.settings, reuse=False)
    torch.testing.assert_close(found, loop.scores(loop.data.train)[0], rtol=1e-5, atol=1e-6)


def test_nothing_is_reused_for_another_input_or_another_graph():
    """The same trainer, asked about two data sets in turn, answers as one that never saw the other."""
    other_base = BASE[:, :10]
    sets = {"a": data_of(), "b": data_of(x=features(K, seed=5)), "c": data_of(base=other_base)}
    for part in (sets["c"].train, sets["c"].val, sets["c"].test):
        part.x = sets["a"].test.x  # the very tensor: only the graph differs
    _, _, loop = trained("forward-gnn", sets["a"], hidden=(4, 4))
    asked = {name: loop.scores(sets[name].test)[0] for name in ("a", "b", "a", "c", "b")}
    loop.trainer.settings = type(loop.trainer.settings)(reuse=False)
    for name, scores in asked.items():
        torch.testing.assert_close(scores, loop.scores(sets[name].test)[0], rtol=1e-6, atol=1e-7)
    assert not asked["a"].allclose(asked["b"])
    assert not asked["a"].allclose(asked["c"])


def test_a_loaded_state_is_not_answered_from_what_was_kept():
    _, _, loop = trained("forward-gnn", data_of(), hidden=(4, 4))
    before, _ = loop.scores(loop.data.test)
    state = {name: tensor * 2 for name, tensor in loop.trainer.state_dict().items()}
    loop.trainer.load_state_dict(state)
    after, _ = loop.scores(loop.data.test)
    loop.trainer.settings = type(loop.trainer.settings)(reuse=False)
    assert not before.allclose(after)
    torch.testing.assert_close(after, loop.scores(loop.data.test)[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("conv", ["gcn", "sage", "gat"])
@pytest.mark.parametrize("algo", ["backprop", "forward-gnn", "forward-gnn-ff-la", "forward-gnn-top-to-input"])
def test_bfloat16_comes_near_single_precision(algo: str, conv: str):
    """The first step's loss, to a few times bfloat16's 2^-8; sparse products stay in float32."""
    losses = []
    for precision in ("fp32", "bf16"):
        virtual = algo in ("forward-gnn", "forward-gnn-top-to-input")
        data = data_of(virtual, features(K if virtual else 0).astype(np.float32))
        trainer = make(algo, net="gnn", conv=conv, hidden=(8, 8), epochs=2, patience=None)
        loop = loop_of(trainer, data, precision=precision, validate_every=1)
        loop.run()
        losses.append(next(iter(loop.history[0]["loss"].values())))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
