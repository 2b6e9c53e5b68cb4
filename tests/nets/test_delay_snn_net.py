"""The spiking net: its sizes, its time axis, its delays at test, its sparse synapses, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from small import make
from spikes import SPEC, spikes

from bpfree.errors import InputError
from bpfree.nets.delay_snn import Readout, Settings, Spiking, Synapses, build, operations
from bpfree.training.loop import Loop

SHD = replace(SPEC, shape=(100, 140), classes=20)


def net(spec=SPEC, **values):
    return build(spec, Settings(**values), hidden_only=False)


def parameters(**values) -> int:
    return sum(p.numel() for block in net(SHD, **values) for p in block.parameters())


def test_sizes_are_those_of_the_paper():
    """SHD: 106,496 weights, as many positions, 1,024 of batch norm."""
    assert parameters() == 214_016
    assert parameters(delays="none") == parameters(delays="fixed") == 107_520
    assert parameters(kernel_count=2) == 2 * 212_992 + 1_024


def test_a_sparse_net_has_no_weights_where_it_has_no_synapses():
    assert parameters(synapses=10) == 2 * 10 * (256 + 256 + 20) + 1_024


def test_every_layer_lengthens_time_by_half_the_longest_delay():
    """100 -> 112 -> 124, and 136 at the readout."""
    x, lengths = torch.zeros(2, 100, 140), []
    for block in net(SHD)[:-1]:
        x = block(x)
        lengths.append(x.shape[1])
    assert (lengths, tuple(x.shape)) == ([112, 124], (2, 124, 256))
    scores = net(SHD)[-1](x)
    torch.testing.assert_close(scores.sum(1), torch.full((2,), 136.0))  # a softmax a step


@pytest.mark.parametrize(("values", "steps"), [({"padding": "causal"}, 100), ({"delays": "none"}, 100)])
def test_without_right_padding_or_without_delays_time_stays(values, steps: int):
    assert net(SHD, **values)[0](torch.zeros(2, 100, 140)).shape[1] == steps


@pytest.mark.parametrize(("delay_ms", "taps"), [(250, 25), (300, 31), (20, 3)])
def test_taps_are_the_longest_delay_made_odd(delay_ms: float, taps: int):
    assert Settings(max_delay_ms=delay_ms).taps == taps


@pytest.mark.parametrize("position", [-12, 0, 5, 12])
def test_a_spike_arrives_half_the_taps_less_its_position_later(position: int):
    synapses = Synapses(1, 1, Settings()).eval()
    synapses.position.data.fill_(position)
    synapses.weight.data.fill_(0.7)
    x = torch.zeros(30, 1, 1)
    x[2] = 1
    y = synapses(x).flatten()
    assert y.nonzero().flatten().tolist() == [2 + 12 - position]
    assert y.max().item() == pytest.approx(0.7)


def test_positions_begin_over_all_taps_with_one_in_k_at_the_longest_delay():
    """U(-13, 12) clamped to [-12, 12]: 4 % of them at -12; the sd of that share over 36,000 is 0.1 %."""
    position = Synapses(140, 256, Settings()).position
    assert (position.min().item(), position.max().item() <= 12) == (-12.0, True)
    assert (position == -12).float().mean().item() == pytest.approx(1 / 25, abs=5e-3)


def test_weights_begin_within_the_range_of_their_number():
    for values, fan_in in (({}, 140), ({"synapses": 10}, 10), ({"kernel_count": 2}, 280)):
        assert Synapses(140, 256, Settings(**values)).weight.abs().max().item() == pytest.approx(
            (6 / fan_in) ** 0.5, rel=1e-2
        )


def test_bumps_narrow_to_half_a_step_over_a_quarter_of_the_epochs():
    """150 epochs: 37 factors of 0.8986 from 12 to 0.23, then no more."""
    synapses, widths = Synapses(2, 2, Settings()), []
    for _ in range(150):
        synapses.anneal(150)
        widths.append(synapses.width.item())
    assert widths[0] == pytest.approx(12 * 0.8986, rel=1e-4)
    assert widths[35] > 0.25
    assert widths[36:] == pytest.approx([0.23] * 114, rel=1e-5)


def test_a_constant_width_is_a_setting():
    synapses = Synapses(2, 2, Settings(start_width=0.5))
    synapses.anneal(8)
    assert synapses.width.item() == pytest.approx(0.23)


def test_at_test_only_weights_and_rounded_positions_count_and_both_stay_as_they_are():
    synapses = Synapses(5, 4, Settings(max_delay_ms=50)).eval()
    before, held = synapses.kernel(), synapses.position.detach().clone()
    assert (before != 0).sum(0).eq(1).all()  # one tap a synapse
    synapses.width.fill_(3.0)
    synapses.position.data = held.round() + 0.3 * torch.rand_like(held).sub(0.5)
    assert synapses.kernel().equal(before)
    synapses.position.data = held
    synapses.kernel()
    assert synapses.position.equal(held)


def test_a_position_beyond_the_taps_counts_as_the_last_one():
    synapses = Synapses(1, 1, Settings(max_delay_ms=50)).eval()
    synapses.position.data.fill_(9.0)
    assert synapses.kernel().flatten().nonzero().tolist() == [[0]]
    synapses.constrain()
    assert synapses.position.item() == 2.0


def test_fixed_delays_are_whole_steps_saved_and_not_trained():
    synapses = Synapses(5, 4, Settings(delays="fixed"))
    assert synapses.position.equal(synapses.position.round())
    assert "position" in synapses.state_dict()
    assert [name for name, _ in synapses.named_parameters()] == ["weight"]
    synapses.anneal(4)


def test_sparse_synapses_reach_distinct_inputs_and_carry_all_weight():
    synapses = Synapses(20, 6, Settings(synapses=4)).eval()
    assert all(len(set(row.tolist())) == 4 for row in synapses.sources)
    kernel = synapses.kernel().sum(0)  # (I, O)
    for o in range(6):
        torch.testing.assert_close(kernel[synapses.sources[o], o], synapses.weight[o, :, 0])
    assert (kernel != 0).sum() == 24


def test_batch_norm_sees_every_step_and_sample():
    block, x = Spiking(7, 5, Settings(max_delay_ms=30, dropout=0.0)), spikes(6).x
    currents = block.synapses(x.transpose(0, 1)).flatten(0, 1)
    block(x)
    torch.testing.assert_close(block.norm.running_mean, 0.1 * currents.mean(0))
    torch.testing.assert_close(block.norm.running_var, 0.9 + 0.1 * currents.var(0))


def test_a_silenced_neuron_is_silent_for_the_whole_sample():
    block, x = Spiking(7, 40, Settings(max_delay_ms=30, dropout=0.5)), spikes(6).x
    with torch.no_grad():
        out = block(x)  # (B, T, N)
        block.settings = Settings(max_delay_ms=30, dropout=0.0)
        full = block(x)
    ratio = (out / full).nan_to_num(-1)  # -1: did not spike anyway
    for row in ratio.transpose(1, 2).flatten(0, 1):
        assert set(row.tolist()) - {-1.0} in (set(), {0.0}, {2.0})
    assert {0.0, 2.0} <= set(ratio.flatten().tolist())


@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
def test_scores_from_the_course_of_the_membranes(readout: str):
    """One input, two classes, tau 2 steps: v = (1, 1/3) w, then half of it and 2 w more."""
    block = Readout(1, replace(SPEC, classes=2), Settings(delays="none", tau_ms=20, time_readout=readout))
    block.synapses.weight.data = torch.tensor([[[1.0]], [[1 / 3]]])
    v = torch.tensor([[1.0, 1 / 3], [2.5, 2.5 / 3]])
    by_hand = {"mean": v.mean(0), "max": v[1], "sum": v.softmax(1).sum(0)}[readout]
    torch.testing.assert_close(block(torch.tensor([[[1.0], [2.0]]]))[0], by_hand)


def test_operations_by_hand():
    """2 inputs, 3 hidden neurons with one synapse each, 2 classes, no delays; 2 samples of 2 steps."""
    blocks = net(replace(SPEC, shape=(2, 2), classes=2), hidden=(3,), delays="none", synapses=1)
    for block in blocks:
        block.eval()
    blocks[0].synapses.sources.copy_(torch.tensor([[0], [0], [1]]))
    blocks[0].synapses.weight.data = torch.tensor([2.0, 0.5, 2.0]).view(3, 1, 1)
    blocks[1].synapses.sources.copy_(torch.tensor([[0], [0]]))
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 0.0]]])
    # input: 2 and 3 spikes. Neuron 0 fires at x_0 = 1 and 3; neuron 1 (weight .5) at 3 alone; neuron 2 at x_1 = 1
    assert operations(blocks, x) == {
        "spikes of the input": 2.5,
        "spikes of layer 1": (2 + 2) / 2,
        "accumulates": (4 * 2 + 1 * 1) / 2 + (2 * 2) / 2,  # input 0 has two synapses, neuron 0 has both of the readout
        "multiply-accumulates": 2 * (3 + 2),
    }


def test_images_of_one_channel_are_read_row_by_row():
    blocks, x = net(hidden=(6,), max_delay_ms=30), spikes(4).x
    assert blocks[0].eval()(x[:, None]).equal(blocks[0](x))


@pytest.mark.parametrize(
    ("shape", "values", "says"),
    [
        ((784,), {}, r"needs spike counts \(time, channels\), not inputs of shape \(784,\)"),
        ((3, 32, 32), {}, "needs spike counts"),
        (
            (20, 7),
            {"max_delay_ms": 250},
            "delays up to 24 steps do not fit into a sequence of 20: use max_delay_ms below 200",
        ),
        (
            (20, 7),
            {"max_delay_ms": 50.0, "tau_ms": 10.0},
            "tau_ms = 10 is no longer than a step: use more than bin_ms = 10",
        ),
        ((20, 7), {"max_delay_ms": 10.0}, "max_delay_ms = 10 is less than two steps"),
        ((20, 7), {"max_delay_ms": 50.0, "synapses": 8}, "synapses = 8 is more than the 7 inputs of a layer"),
    ],
)
def test_impossible_settings_are_refused(shape, values, says: str):
    with pytest.raises(InputError, match=says):
        net(replace(SPEC, shape=shape), **values)


@pytest.mark.parametrize("algo", ["delay-snn", "delay-snn-local"])
def test_a_rule_for_spiking_nets_says_which_net_it_needs(algo: str):
    with pytest.raises(InputError, match="use --net delay-snn"):
        Loop(make(algo, net="mlp", hidden=(4,)), spikes(8).data, device="cpu")
