"""bpfree.graphs.graph and nets.gnn: against dense algebra and torch_geometric's own convolutions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from bpfree.errors import InputError
from bpfree.graphs.graph import Graph
from bpfree.graphs.memo import Memo
from bpfree.graphs.sparse import Matrix, row_norm, sparse
from bpfree.nets import gnn
from bpfree.training.data import Spec

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(7, 5)))
BASE = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])  # nodes 4 and 5, 6 (virtual) apart
LABELS = torch.tensor([0, 1, -1, 1, -1])
GRAPH = Graph(BASE, 5, 2, LABELS, LABELS, LABELS)


def layer(conv: str, width: int = 8, **values) -> gnn.Layer:
    return gnn.Layer(gnn.Settings(conv=conv, **values), 5, width).double()


@st.composite
def matrices(draw) -> tuple[Matrix, torch.Tensor]:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    places = draw(st.lists(st.integers(0, rows * columns - 1), unique=True))
    at = torch.tensor(places, dtype=torch.long)
    values = torch.arange(1, len(places) + 1, dtype=torch.float64)
    dense = torch.zeros(rows * columns, dtype=torch.float64).scatter(0, at, values).view(rows, columns)
    return Matrix(at // columns, at % columns, values, (rows, columns)), dense


@settings(deadline=None, max_examples=40)
@given(matrices(), st.integers(0, 3))
def test_product_and_its_gradient_are_those_of_the_dense_matrix(pair, seed: int):
    matrix, dense = pair
    x = torch.randn(dense.shape[1], 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    mine, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = matrix @ mine, dense @ plain
    out.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mine.grad, plain.grad, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(matrices(), st.lists(st.integers(0, 5), min_size=1, max_size=8), st.sampled_from([None, 6]))
def test_taken_rows_are_those_of_the_dense_matrix(pair, rows: list[int], fan_out: int | None):
    """Rows are taken whole, also with a fan-out that no row exceeds."""
    matrix, dense = pair
    taken = torch.tensor(rows) % dense.shape[0]
    x = torch.eye(dense.shape[1], dtype=torch.float64)
    torch.testing.assert_close(matrix.take(taken, fan_out) @ x, dense[taken], rtol=0, atol=0)


def test_drawn_neighbours_are_right_on_average_and_no_more_than_the_fan_out():
    """20,000 draws of 2 out of 5: the mean is within 5 standard errors of the full sum."""
    values = torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64)
    row = Matrix(torch.zeros(5, dtype=torch.long), torch.arange(5), values, (1, 5))
    draws = row.take(torch.zeros(20_000, dtype=torch.long), 2, torch.Generator().manual_seed(0))
    assert torch.bincount(draws.rows).unique().tolist() == [2]
    sums = draws @ torch.ones(5, 1, dtype=torch.float64)
    error = (2 * (5 * values).var(correction=0)).sqrt() / 2 / 20_000**0.5
    assert abs(sums.mean() - values.sum()) < 5 * error


def test_virtual_nodes_are_joined_both_ways_to_the_nodes_of_their_class():
    edges = {tuple(edge) for edge in GRAPH.edges.T.tolist()} - {tuple(edge) for edge in BASE.T.tolist()}
    assert edges == {(0, 5), (5, 0), (1, 6), (6, 1), (3, 6), (6, 3)}
    one_way = Graph(BASE, 5, 2, LABELS, LABELS, LABELS, back=False)
    assert {tuple(edge) for edge in one_way.edges.T.tolist()[6:]} == {(0, 5), (1, 6), (3, 6)}


@pytest.mark.parametrize("convolution", [("gcn", GCNConv), ("sage", SAGEConv)])
def test_convolution_equals_torch_geometric_s_own(convolution):
    name, conv = convolution
    mine, theirs = layer(name), conv(5, 8).double()
    theirs.load_state_dict(mine.conv.conv.state_dict())
    expected = theirs(X, GRAPH.edges).relu()
    torch.testing.assert_close(mine(X, GRAPH), expected, rtol=1e-12, atol=1e-12)
    rows = torch.tensor([3, 0, 6, 5])
    torch.testing.assert_close(mine.transform(mine.gather(X, GRAPH, rows)), expected[rows], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("last", [True, False])
def test_attention_has_four_heads_concatenated_or_averaged_in_the_last_layer(last: bool):
    mine = gnn.Layer(gnn.Settings(conv="gat"), 5, 8, last=last).double()
    theirs = GATConv(5, 8 if last else 2, heads=4, concat=not last).double()
    theirs.load_state_dict(mine.conv.conv.state_dict())
    out = theirs(X, GRAPH.edges)
    torch.testing.assert_close(mine(X, GRAPH), out if last else out.relu(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("conv", ["gcn", "sage"])
@pytest.mark.parametrize("scale", [True, False])
def test_sparse_features_give_what_dense_ones_give(conv: str, scale: bool, monkeypatch):
    """The same in a layer's gathered input, in its whole one, and with an input from above; forward and gradient."""
    mine = layer(conv, row_norm=scale)
    mine.widen(3)
    mine = mine.double()
    few = torch.where(torch.rand(7, 5, generator=torch.Generator().manual_seed(0)) < 0.3, X, 0.0)
    few[5:], above, rows = X[5:], X[:, :3], torch.tensor([4, 1, 6])
    results = []
    for limit in (0.0, 1.1):
        monkeypatch.setattr("bpfree.graphs.sparse.SPARSE", limit)
        narrow = layer(conv, row_norm=scale)
        narrow.load_state_dict({k: v[:, :5] if v.dim() > 1 else v for k, v in mine.state_dict().items()})
        h = few.clone()  # another tensor: the form of one is kept
        fixed = mine.fixed(h)
        assert isinstance(fixed, torch.Tensor) == (limit == 0)
        outs = (mine(fixed, GRAPH, above), narrow.transform(narrow.gather(h, GRAPH, rows)))
        sum(out.square().sum() for out in outs).backward()
        gradients = [p.grad.clone() for p in (*mine.parameters(), *narrow.parameters())]
        mine.zero_grad()
        results.append([*outs, *gradients])
    for dense, other in zip(*results, strict=True):
        torch.testing.assert_close(dense, other, rtol=1e-11, atol=1e-12)


def test_sparse_form_is_made_once_and_made_anew_when_the_features_change():
    h = torch.eye(10)
    form = sparse(h, scaled=False)
    assert form is not None
    assert sparse(h, scaled=False) is form
    assert sparse(h, scaled=True) is not form
    h[0, 0] = 2.0
    changed = sparse(h, scaled=False)
    assert changed is not None
    assert changed.times(torch.ones(10, 1))[:2, 0].tolist() == [2.0, 1.0]


def test_row_norm_keeps_rows_of_zeros_and_nodes_without_neighbours_are_finite():
    assert row_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]
    for conv in ("gcn", "sage", "gat"):
        assert layer(conv, row_norm=True)(X, GRAPH)[4].isfinite().all()


def test_a_result_is_kept_for_the_same_objects_alone():
    once, calls = Memo(), []
    x, other, scope = torch.ones(2), torch.ones(2), object()

    def ask(scope, *sources):
        return once(scope, "a", sources, lambda: calls.append(len(calls)) or len(calls))

    assert ask(scope, x, GRAPH) == ask(scope, x, GRAPH) == 1
    assert ask(scope, other, GRAPH) == 2  # equal values, another tensor
    assert ask(scope, x, Graph(BASE, 5)) == 3
    x.add_(1)  # the same tensor, other values
    assert ask(scope, x, GRAPH) == 4
    assert ask(object(), x, GRAPH) == 5  # another phase
    assert ask(scope, x, GRAPH) == 6


def spec(task: str = "node-classification", nodes: int = 7) -> Spec:
    return Spec("g", (5,), 2, None, task, "accuracy", True, "", "", nodes)


def widths(task: str, hidden_only: bool, hidden: tuple[int, ...]) -> list[tuple[int, int, bool]]:
    blocks = gnn.build(spec(task), gnn.Settings(hidden=hidden), hidden_only=hidden_only)
    return [(block.fan_in, block.width, isinstance(block.activation, torch.nn.Identity)) for block in blocks]


def test_net_ends_in_scores_or_embeddings_without_relu_or_in_the_last_hidden_layer_with_it():
    assert widths("node-classification", False, (8, 4)) == [(5, 8, False), (8, 4, False), (4, 2, True)]
    assert widths("node-classification", False, ()) == [(5, 2, True)]
    assert widths("node-classification", True, (8, 4)) == [(5, 8, False), (8, 4, False)]
    assert widths("link-prediction", False, (8, 4)) == [(5, 8, False), (8, 4, True)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"spec": spec(nodes=0)}, "needs a graph, and data g has none: use --net mlp"),
        ({"settings": gnn.Settings(hidden=()), "hidden_only": True}, "hidden is empty"),
        ({"settings": gnn.Settings(hidden=(6,), conv="gat")}, "width 6 is not a multiple of attention_heads = 4"),
    ],
)
def test_nets_that_cannot_be(changes, says):
    values = {"spec": spec(), "settings": gnn.Settings(), "hidden_only": False, **changes}
    with pytest.raises(InputError, match=says):
        gnn.build(values.pop("spec"), values.pop("settings"), **values)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch_geometric.nn", None)
    with pytest.raises(InputError, match=r"pip install torch_geometric"):
        layer("gcn")
