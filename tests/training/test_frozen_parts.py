"""Parts that never train, or train later: frozen blocks, physical systems, bumps that narrow, ranges."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small import loop_of, make, on_graph, tiny
from torch import nn

from bpfree import InputError
from bpfree.data.graphs.source import GraphSource
from bpfree.functional import forward_forward as ff
from bpfree.nets.delay_snn import Synapses
from bpfree.rules.cafo import Cafo
from bpfree.rules.random_features import RandomFeatures


def conv(drop: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(drop), nn.ReLU(), nn.BatchNorm2d(4))


@pytest.mark.parametrize("rule", ["random-features", "cafo"])
def test_statistics_of_frozen_blocks_are_the_mean_over_the_batches_without_dropout(rule: str):
    """22 rows in batches of 11: the mean over two batches is the mean over all rows."""
    blocks = [conv(0.5), *([nn.Sequential(nn.Flatten(), nn.Linear(196, 10))] if rule == "random-features" else [])]
    trainer = {"random-features": RandomFeatures, "cafo": Cafo}[rule](blocks, batch_size=11, epochs=1)
    loop = loop_of(trainer, tiny())
    loop.run()
    with torch.no_grad():
        h = trainer.blocks[0][0](loop.data.train.x).relu()
    norm = trainer.blocks[0][3]
    torch.testing.assert_close(norm.running_mean, h.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    within = torch.stack([part.var((0, 2, 3), correction=1) for part in h[loop_order(loop)].split(11)]).mean(0)
    torch.testing.assert_close(norm.running_var, within, rtol=1e-4, atol=1e-5)


def loop_order(loop) -> torch.Tensor:
    """The rows in the order of the first epoch."""
    return torch.randperm(len(loop.data.train), generator=loop.trainer.streams.fresh("order", 0))


def test_a_measured_prefix_is_measured_in_every_step_and_counts_as_training():
    """Two epochs of 22 rows through the one frozen layer, and validation of 8 rows after each."""
    trainer = make("random-features", net="acoustic", hidden=(5,), epochs=2, batch_size=11)
    loop = loop_of(trainer, tiny(classes=3))
    loop.run()
    (system,) = loop.external
    assert loop.prefixes == {"readout": "recomputed"}
    assert (system.costs.calls["train"], system.costs.calls["inference"]) == (2 * 22, 2 * 8)


def test_learned_positions_keep_to_their_range_under_any_rule():
    trainer = make("backprop", net="delay-snn", hidden=(4,), max_delay_ms=40, lr=5.0, epochs=2, batch_size=11)
    loop = loop_of(trainer, tiny())
    loop.run()
    synapses = [m for m in trainer.modules() if isinstance(m, Synapses)]
    assert synapses
    for module in synapses:
        assert module.position.abs().max() <= module.middle
    assert any((module.position.abs() == module.middle).any() for module in synapses)


def test_bumps_of_layers_that_have_not_begun_stay_wide():
    trainer = make("delay-snn-local", hidden=(6, 6), max_delay_ms=40, epochs=1)
    loop = loop_of(trainer, tiny())
    last = [m for m in trainer.blocks[-1].modules() if isinstance(m, Synapses)]
    loop.enter_phase(loop.phases[0]._replace(blocks=(0,)))
    assert not set(last) & set(loop.annealed)
    assert {m for m in trainer.blocks[0].modules() if isinstance(m, Synapses)} <= set(loop.annealed)


@pytest.mark.parametrize("rule", ["local-loss", "channel-ff"])
def test_rules_of_maps_refuse_sequences(rule: str):
    with pytest.raises(InputError, match=r"puts out sequences.* try --net cnn"):
        loop_of(make(rule, net="delay-snn", hidden=(6,), max_delay_ms=40), tiny())


def test_fan_out_is_refused_by_a_rule_that_takes_all_neighbours():
    data = on_graph(tiny())
    source = data.train
    sampled = GraphSource(source.x, source.y, source.index, replace(source.graph, sampled=True, fan_out=3))
    data = replace(data, train=sampled)
    with pytest.raises(InputError, match="Backprop takes all neighbours: leave fan_out out, or use forward-gnn"):
        loop_of(make("backprop", net="gnn", hidden=(4,)), data)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.LeakyReLU(), nn.ELU()])
def test_drive_comes_before_the_activation(activation: nn.Module):
    block, x, drive = nn.Sequential(nn.Linear(3, 4), activation), torch.randn(5, 3), torch.randn(5, 4)
    z, out = ff.through(block, x, drive)
    torch.testing.assert_close(z, F.linear(x, block[0].weight, block[0].bias) + drive)
    torch.testing.assert_close(out, activation(z))


def test_what_follows_the_activation_follows_the_drive():
    block, x = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)), torch.randn(2, 1, 4, 4)
    z, out = ff.through(block, x)
    torch.testing.assert_close(out, block(x))
    torch.testing.assert_close(z, block[0](x))
