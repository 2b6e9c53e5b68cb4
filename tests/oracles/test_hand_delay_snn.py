"""Delay nets against a second implementation of arXiv 2306.17670: plain loops over time and taps, in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small import fit, loop_of, make, ready, snapshot
from spikes import CLASSES, spikes
from step import one_step, values_of
from torch import Tensor

from bpfree import rules
from bpfree.rules.delay_snn import DelaySnn
from bpfree.training.trainer import Trainer

ALPHA, BETA, HALF, WIDTH = 5.0, 1 - 1 / 1.5, 2, 2 + 0.27
CHOSEN = {"net": "delay-snn", "max_delay_ms": 50, "tau_ms": 15, "dropout": 0.0, "padding": "right", "start_width": None}
STEP = {"position_schedule": "constant", "position_lr": 1.0, **CHOSEN}
CLOSE = {"rtol": 0, "atol": 1e-11}
X, Y = (part.numpy() for part in (spikes(12).x.double(), spikes(12).y))
RULES = ["delay-snn", "delay-snn-local"]


def currents(s: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    """``(T + 2, B, O)``: every synapse a Gauss bump around its delay, summed tap by tap."""
    weight, position = p[f"{name}.synapses.weight"][..., 0], p[f"{name}.synapses.position"][..., 0]
    bumps = [torch.exp(-(((d - (HALF - position)) / WIDTH) ** 2) / 2) for d in range(2 * HALF + 1)]
    y = s.new_zeros(len(s) + HALF, s.shape[1], len(weight))
    for t in range(len(y)):
        for d, bump in enumerate(bumps):
            if 0 <= t - d < len(s):
                y[t] = y[t] + s[t - d] @ (weight * bump / sum(bumps)).T
    return y


def normed(y: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    mean, var = y.mean((0, 1)), y.var((0, 1), unbiased=False)
    return (y - mean) / (var + 1e-5).sqrt() * p[f"{name}.norm.weight"] + p[f"{name}.norm.bias"]


def fired(x: Tensor) -> Tensor:
    """The step function with the derivative of an arc tangent, and a reset that is held fixed."""
    v, out = torch.zeros_like(x[0]), []
    for current in x:
        h = BETA * v + current
        smooth = torch.atan(math.pi / 2 * ALPHA * (h - 1)) / math.pi
        s = (h >= 1).to(h) + smooth - smooth.detach()
        v = h * (1 - s.detach())
        out.append(s)
    return torch.stack(out)


def scores(x: Tensor) -> Tensor:
    v, total = torch.zeros_like(x[0]), 0
    for current in x:
        v = BETA * v + current
        total = total + v.softmax(1)
    return total


def by_hand(before: dict[str, np.ndarray], algo: str) -> tuple[dict[str, np.ndarray], list[float]]:
    """Gradients by name, and the losses: of the whole net, or of every layer with its own readout."""
    p = {name: torch.from_numpy(value).requires_grad_(value.dtype == float) for name, value in before.items()}
    s, y, losses = torch.from_numpy(X).transpose(0, 1), torch.from_numpy(Y), []
    for k in range(2):
        s = fired(normed(currents(s, p, f"blocks.{k}"), p, f"blocks.{k}"))
        if algo == "delay-snn-local":
            losses.append(F.cross_entropy(scores(currents(s, p, f"heads.{k}")), y))
            s = s.detach()
    if algo == "delay-snn":
        losses.append(F.cross_entropy(scores(currents(s, p, "blocks.2")), y))
    sum(losses).backward()
    return {name: t.grad.numpy() for name, t in p.items() if t.grad is not None}, [loss.item() for loss in losses]


@pytest.mark.parametrize("algo", RULES)
def test_update_is_the_hand_gradient(algo: str):
    """One step of SGD at rate 1: weights, batch norm and positions of every layer, these clamped to the taps."""
    before, moved, losses = one_step(algo, X, Y, hidden=(6, 5), **STEP)
    grads, expected = by_hand(before, algo)
    assert grads.keys() == {name for name, _ in make_built(algo).named_parameters()}
    for name, grad in grads.items():
        if name.endswith("position"):
            grad = before[name] - np.clip(before[name] - grad, -HALF, HALF)
            assert np.abs(grad).max() > 1e-5
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)
    np.testing.assert_allclose(list(losses.values()), expected, **CLOSE)


def make_built(algo: str):
    return loop_of(make(algo, hidden=(6, 5), **CHOSEN), spikes(12).data).trainer


def test_one_loss_trains_all_layers_or_each_layer_its_own():
    assert list(make_built("delay-snn").owners()) == ["weights", "positions"]
    assert list(make_built("delay-snn-local").owners()) == [0, "positions 0", 1, "positions 1"]


def test_a_layers_weights_and_positions_step_before_the_next_layer_runs():
    loop, order = loop_of(make("delay-snn-local", hidden=(6, 5), **CHOSEN), spikes(12).data), []
    for k, block in enumerate(loop.trainer.blocks):
        block.register_forward_hook(lambda *_, k=k: order.append(f"layer {k}"))
    loop.trainer.on_step = order.append  # type: ignore[method-assign]
    loop.learn(ready(loop))
    assert order == ["layer 0", 0, "positions 0", "layer 1", 1, "positions 1"]


@pytest.mark.parametrize("algo", RULES)
@pytest.mark.parametrize("delays", ["fixed", "none"])
def test_without_learned_delays_nobody_owns_positions(algo: str, delays: str):
    loop = fit(algo, spikes(24).data, **{**CHOSEN, "hidden": (6, 5), "delays": delays, "epochs": 1})
    assert not any(str(key).startswith("positions") for key in loop.trainer.owners())


def test_positions_have_a_rate_and_schedule_of_their_own_and_no_decay():
    trainer = make_built("delay-snn")
    weights, positions = (trainer.optim(owner) for owner in ("weights", "positions"))
    assert (weights.lr, weights.lr_schedule, weights.weight_decay) == (5e-3, "one-cycle", 1e-5)
    assert (positions.lr, positions.lr_schedule, positions.weight_decay) == (0.1, "cosine", 0.0)


@pytest.mark.parametrize("algo", RULES)
def test_positions_stay_within_the_taps_after_every_step(algo: str):
    loop = loop_of(make(algo, hidden=(6, 5), **{**CHOSEN, "position_lr": 50.0}), spikes(24).data)
    loop.learn(ready(loop))
    positions = [p for name, p in loop.trainer.named_parameters() if name.endswith("position")]
    assert all(p.abs().max() == HALF for p in positions)


class OwnEpochs(DelaySnn):
    """A rule with a hook of its own, which knows nothing of nets that change with the epochs."""

    def on_epoch(self) -> None:
        pass


NARROWING = [*map(rules.rule, [*RULES, "backprop"]), OwnEpochs]


@pytest.mark.parametrize("rule", NARROWING, ids=lambda rule: rule.__name__)
def test_bumps_narrow_epoch_by_epoch_whatever_the_rule(rule: type[Trainer]):
    """8 epochs, a quarter of them: 2 -> sqrt(2 * 0.23) -> 0.23 -> 0.23, in every layer and readout."""
    widths: list[list[float]] = []

    class Watch:
        def on_epoch(self, loop) -> None:
            state = loop.trainer.state_dict()
            widths.append([width.item() for name, width in state.items() if name.endswith("width")])

    loop = loop_of(rule(hidden=(6,), epochs=8, **CHOSEN), spikes(24).data, callbacks=[Watch()])
    loop.run()
    assert np.shape(widths) == (8, 2)
    for course in zip(*widths, strict=True):
        assert list(course) == pytest.approx([0.46**0.5, *[0.23] * 7], rel=1e-5)


@pytest.mark.parametrize("algo", RULES)
def test_a_prediction_depends_on_rounded_positions_alone(algo: str):
    loop = fit(algo, spikes(24).data, **{**CHOSEN, "hidden": (6, 5), "epochs": 1})
    said, before = loop.scores(loop.data.test)[0], snapshot(loop.trainer)
    for name, p in loop.trainer.named_parameters():
        if name.endswith("position"):
            p.data.round_()
    assert loop.scores(loop.data.test)[0].equal(said)
    assert any(not before[name].equal(t) for name, t in loop.trainer.state_dict().items())


@pytest.mark.parametrize("algo", RULES)
def test_a_class_that_is_only_in_the_delays_needs_them(algo: str):
    """The delay between two spikes, 1, 2 or 3 steps, is the class; without delays tau forgets in one step."""
    chosen = {**CHOSEN, "tau_ms": 10.05, "hidden": (24,), "epochs": 12, "batch_size": 20, "lr": 2e-2}
    data = spikes(600).data
    learned, none = fit(algo, data, **chosen), fit(algo, data, **{**chosen, "delays": "none", "epochs": 6})
    assert learned.evaluate(learned.data.test) > 0.75
    assert none.evaluate(none.data.test) < 1 / CLASSES + 0.15


def test_the_neuron_of_spikingjelly_trains_the_same_net():
    pytest.importorskip("spikingjelly", reason="the extra snn is not installed")
    states = []
    for neuron in ("fused", "spikingjelly"):
        loop = loop_of(make("delay-snn", hidden=(6, 5), neuron=neuron, **CHOSEN), spikes(12).data)
        loop.learn(ready(loop))
        states.append(values_of(loop.trainer))
    for name in states[0]:
        np.testing.assert_allclose(*(state[name] for state in states), rtol=0, atol=1e-5, err_msg=name)
