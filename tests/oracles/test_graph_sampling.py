"""Batches of nodes with drawn neighbours: the full batch when all neighbours are drawn."""

from dataclasses import replace

import pytest
import torch
from graph_cases import TRAIN, data_of, trained

from bpfree.data.graphs.source import GraphSource
from bpfree.errors import InputError
from bpfree.training.data import Data


def sampled(fan_out: int | None) -> Data:
    data = data_of()
    graph = replace(data.train.graph, sampled=True, fan_out=fan_out)
    return Data(data.spec, GraphSource(data.train.x, data.train.y, data.train.index, graph), data.val, data.test)


@pytest.mark.parametrize("conv", ["gcn", "sage"])
@pytest.mark.parametrize("fan_out", [None, 50])
def test_the_whole_neighbourhood_of_all_nodes_is_the_full_batch(conv: str, fan_out: int | None):
    states = [
        trained("forward-gnn", data, steps=4, lr=0.1, conv=conv, hidden=(4, 4), batch_size=100)[2].trainer.state_dict()
        for data in (data_of(), sampled(fan_out))
    ]
    for name, weights in states[0].items():
        torch.testing.assert_close(states[1][name], weights, rtol=1e-10, atol=1e-12)


def test_every_training_node_is_learned_once_an_epoch_with_a_ragged_last_batch():
    _, _, loop = trained("forward-gnn", sampled(2), batch_size=2)
    order = torch.randperm(len(TRAIN), generator=torch.Generator().manual_seed(0))
    batches = list(loop.data.train.batches(2, order=order))
    assert [len(batch.index) for batch in batches] == [2, 2, 1]
    assert sorted(torch.cat([batch.index for batch in batches]).tolist()) == TRAIN.tolist()
    assert torch.cat([batch.index for batch in batches]).tolist() == TRAIN[order].tolist()
    assert [len(batch.index) for batch in loop.data.train.batches(2, order=order, start=1)] == [2, 1]
    assert loop.cursor.steps == 3


def test_draws_come_from_the_run_s_own_stream():
    """The same seed, the same weights, though neighbours are drawn; without a fan-out nothing is."""
    states = [trained("forward-gnn", sampled(1), steps=3, batch_size=2)[1] for _ in range(2)]
    assert all((states[0][name] == states[1][name]).all() for name in states[0])
    full = trained("forward-gnn", sampled(None), steps=3, batch_size=2)[1]
    assert any((states[0][name] != full[name]).any() for name in full)


def test_attention_cannot_be_sampled():
    with pytest.raises(InputError, match="choose conv = gcn or sage"):
        trained("forward-gnn", sampled(2), conv="gat")
