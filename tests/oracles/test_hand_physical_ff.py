"""Physical Forward-Forward against hand gradients in numpy and float64, on a box whose matrix the test knows."""

from collections import Counter

import numpy as np
import pytest
import torch
from plain import Array, one_hot, sigmoid, softmax, softplus
from small import loop_of, make
from step import arrays, data_of, one_step, values_of

from bpfree.rules.physical_ff import PhysicalForwardForward
from bpfree.training.random_streams import Streams

CLOSE = {"rtol": 0, "atol": 1e-11}
B, N, C, THETA = 9, 5, 3, 4.0
X, Y = arrays(B, N, C)
NET = {"net": "optics", "photons": None, "read_noise": 0.0, "adc_bits": None, "hidden": (6, 4), "theta": THETA}
PORTS = N + C  # the net's own choice: labels beside the input


def box(loop) -> Array:
    """T of the simulated optics ``(8, 8)``; its values are the test's to know, not the rule's."""
    return loop.external[0].scatter["T"].numpy()


def measured(h: Array, t: Array) -> Array:
    """|T a| of the row scaled to a largest value of 1, zeros in front up to the box's inputs."""
    wide = np.concatenate([np.zeros((len(h), PORTS - h.shape[1])), h], 1)
    return np.abs((wide / np.abs(wide).max(1, keepdims=True)) @ t.T)


def seen(h: Array, t: Array, bypass: str) -> Array:
    return {"none": measured(h, t), "only": h, "beside": np.concatenate([measured(h, t), h], 1)}[bypass]


def labelled(label: np.ndarray) -> Array:
    return np.concatenate([one_hot(label, C) * np.abs(X).max(), X], 1)


def goodness(z: Array, xi: Array) -> Array:
    a = np.abs(z)
    return a @ xi / np.sqrt((a**2).sum(1)) / np.sqrt(xi @ xi)


def hand(s: tuple[Array, Array], w: Array, c: Array, xi: Array) -> tuple[Array, Array, float]:
    """dW, dc and the loss from arXiv 2304.11042's loss: cos(|z|, xi) differentiated by hand."""
    z = [part @ w.T + c for part in s]
    good = [goodness(part, xi) for part in z]
    d = good[0] - good[1]
    slope = -THETA * sigmoid(-THETA * d) / B  # dL/dg+ ; the negative's is its opposite
    dw, dc = np.zeros_like(w), np.zeros_like(c)
    for part, inputs, g, sign in zip(z, s, good, (1, -1), strict=True):
        a, length = np.abs(part), np.sqrt((part**2).sum(1, keepdims=True))
        dg = xi / (length * np.sqrt(xi @ xi)) - g[:, None] * a / length**2
        dz = sign * slope[:, None] * dg * np.sign(part)
        dw, dc = dw + dz.T @ inputs, dc + dz.sum(0)
    return dw, dc, softplus(-THETA * d).mean()


def wrong_labels() -> np.ndarray:
    """From the numbers that the run's stream draws; that they are wrong and uniform is tested elsewhere."""
    draws = torch.rand(B, generator=Streams(0, torch.device("cpu"))["negatives"]).numpy()
    return (Y + 1 + (draws * (C - 1)).astype(int)) % C


@pytest.fixture
def order(monkeypatch) -> None:
    """Rows in the order of the arrays."""
    monkeypatch.setattr(torch, "randperm", lambda n, **options: torch.arange(n))


@pytest.mark.parametrize("bypass", ["beside", "none", "only"])
@pytest.mark.usefixtures("order")
def test_update_is_the_hand_gradient_and_the_next_layer_sees_the_updated_map(bypass: str):
    loop = loop_of(make("physical-ff", **NET, bypass=bypass), data_of(X, Y), precision="fp64")
    t = box(loop)
    before, moved, losses = one_step("physical-ff", X, Y, **NET, bypass=bypass, inner_steps=1)
    h = (labelled(Y), labelled(wrong_labels()))
    for k in range(2):
        w, c = before[f"blocks.{k}.linear.weight"], before[f"blocks.{k}.linear.bias"]
        s = tuple(seen(stream, t, bypass) for stream in h)
        dw, dc, loss = hand(s, w, c, before[f"direction_{k}"])
        np.testing.assert_allclose(moved[f"blocks.{k}.linear.weight"], dw, **CLOSE)
        np.testing.assert_allclose(moved[f"blocks.{k}.linear.bias"], dc, **CLOSE)
        assert losses[str(k)] == pytest.approx(loss, abs=1e-11)
        h = tuple(part @ (w - dw).T + c - dc for part in s)


@pytest.mark.usefixtures("order")
def test_inner_steps_reuse_one_measurement():
    """K = 3 steps of gradient descent on the same s; two streams measured once a layer, and only once."""
    loop = loop_of(make("physical-ff", **NET), data_of(X, Y), precision="fp64")
    before, moved, _ = one_step("physical-ff", X, Y, **NET, inner_steps=3)
    s = tuple(seen(labelled(label), box(loop), "beside") for label in (Y, wrong_labels()))
    w, c = before["blocks.0.linear.weight"], before["blocks.0.linear.bias"]
    for _ in range(3):
        dw, dc, _ = hand(s, w, c, before["direction_0"])
        w, c = w - dw, c - dc
    np.testing.assert_allclose(before["blocks.0.linear.weight"] - moved["blocks.0.linear.weight"], w, **CLOSE)


def test_training_measures_two_streams_a_layer_and_prediction_one_for_each_label():
    values = {**NET, "inner_steps": 5, "epochs": 3, "batch_size": 4}
    loop = loop_of(make("physical-ff", **values), data_of(X, Y), precision="fp64")
    loop.run()
    calls = loop.external[0].report()["physical_calls"]
    assert calls == {"train": 3 * 2 * B * 2, "inference": 3 * C * B * 2}  # epochs, streams, rows, layers


def test_multiply_adds_are_those_of_the_paper():
    """Notes: 2 m n forward and 2 m n gradient, a sample, layer and inner step; one forward more for the next layer."""
    k, epochs = 5, 2
    loop = loop_of(make("physical-ff", **NET, inner_steps=k, epochs=epochs), data_of(X, Y), precision="fp64")
    loop.run()
    products = 6 * (PORTS + PORTS) + 4 * (PORTS + 6)  # m n of both layers, with the bypass
    macs = loop.external[0].report()["digital_macs"]
    assert macs["train"] == epochs * B * products * (k * 4 + 2)
    assert macs["inference"] == epochs * B * products * C


def test_prediction_is_the_summed_goodness_of_each_candidate_label():
    loop = loop_of(make("physical-ff", **NET), data_of(X, Y), precision="fp64")
    loop.trainer.amplitude.fill_(np.abs(X).max())
    v, t = values_of(loop.trainer), box(loop)
    with torch.no_grad():
        found = loop.trainer.eval().predict(next(loop.data.val.batches(B))).numpy()
    for label in range(C):
        h, total = labelled(np.full(B, label)), np.zeros(B)
        for k in range(2):
            h = seen(h, t, "beside") @ v[f"blocks.{k}.linear.weight"].T + v[f"blocks.{k}.linear.bias"]
            total += goodness(h, v[f"direction_{k}"])
        np.testing.assert_allclose(found[:, label], total, **CLOSE)


def test_directions_have_unit_length_and_do_not_depend_on_the_seed():
    first, second = (loop_of(make("physical-ff", **NET), data_of(X, Y), seed=s).trainer for s in (1, 2))
    assert first.direction_0.norm().item() == pytest.approx(1, abs=1e-6)
    assert first.direction_0.equal(second.direction_0)
    assert not first.direction_0[:4].equal(first.direction_1)


def test_the_amplitude_of_a_label_comes_from_the_training_part():
    loop = loop_of(make("physical-ff", **NET, epochs=1, batch_size=2), data_of(X, Y), precision="fp64")
    loop.run()
    assert loop.trainer.amplitude.item() == np.abs(X).max()


@pytest.mark.usefixtures("order")
def test_readout_of_mixtures_descends_the_cross_entropy_of_normalised_outputs():
    values = {**NET, "negatives": "mixture", "inner_steps": 1, "bypass": "only", "hidden": (4,)}
    before, moved, losses = one_step("physical-ff", X, Y, **values)
    w = before["blocks.0.linear.weight"] - moved["blocks.0.linear.weight"]
    z = X @ w.T + before["blocks.0.linear.bias"] - moved["blocks.0.linear.bias"]
    h = z / (np.sqrt((z**2).mean(1, keepdims=True)) + 1e-8)
    scores = h @ before["heads.0.weight"].T + before["heads.0.bias"]
    e = (softmax(scores) - one_hot(Y, C)) / B
    np.testing.assert_allclose(moved["heads.0.weight"], e.T @ h, **CLOSE)
    assert losses["readout"] == pytest.approx(-np.log(softmax(scores)[np.arange(B), Y]).mean(), abs=1e-11)


def test_readout_of_mixtures_takes_as_many_steps_as_a_layer(monkeypatch):
    steps: Counter = Counter()
    monkeypatch.setattr(PhysicalForwardForward, "on_step", lambda self, owner: steps.update([owner]))
    one_step("physical-ff", X, Y, **{**NET, "negatives": "mixture", "inner_steps": 3, "hidden": (4,)})
    assert steps == {0: 3, "readout": 3}


def test_reservoir_of_a_second_epoch_is_that_of_the_first():
    net = {key: value for key, value in NET.items() if key != "theta"}
    one, two = (
        loop_of(make("reservoir", **net, epochs=n, keep="last"), data_of(X, Y), precision="fp64") for n in (1, 2)
    )
    for loop in (one, two):
        loop.run()
    np.testing.assert_allclose(one.trainer.readout.numpy(), two.trainer.readout.numpy(), rtol=0, atol=1e-9)


def test_reservoir_is_ridge_regression_on_the_last_measurement():
    """(S'S + lambda mean diag(S'S) I) V = S'Y, over ragged batches, with a constant feature."""
    net = {key: value for key, value in NET.items() if key != "theta"}
    loop = loop_of(make("reservoir", **net, ridge=0.1, batch_size=4), data_of(X, Y), precision="fp64")
    v, t = values_of(loop.trainer), loop.external[0].scatter["T"].numpy()

    def box_of(h: Array) -> Array:
        wide = np.concatenate([np.zeros((len(h), 6 - h.shape[1])), h], 1)
        return np.abs((wide / np.abs(wide).max(1, keepdims=True)) @ t.T)

    h = box_of(X) @ v["blocks.0.linear.weight"].T + v["blocks.0.linear.bias"]
    s = np.concatenate([box_of(h), np.ones((B, 1))], 1)
    gram = s.T @ s
    expected = np.linalg.solve(gram + 0.1 * np.diag(gram).mean() * np.eye(len(gram)), s.T @ one_hot(Y, C))
    loop.run()
    np.testing.assert_allclose(loop.trainer.readout.numpy(), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        loop.scores(loop.data.val)[0].numpy(), s @ expected, rtol=0, atol=1e-6
    )  # kept in float32


def test_a_reservoir_stores_what_it_predicts_with_and_no_sums():
    net = {key: value for key, value in NET.items() if key != "theta"}
    loop = loop_of(make("reservoir", **net), data_of(X, Y), precision="fp64")
    loop.run()
    assert {name.rpartition(".")[2] for name in loop.trainer.state_dict()} == {"weight", "bias", "readout"}
