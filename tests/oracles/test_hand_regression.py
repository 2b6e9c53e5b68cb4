"""Regression: one step of every rule that serves it against its hand gradient or closed form, in numpy and float64."""

from typing import Any

import numpy as np
import pytest
import torch
from plain import Array, relu
from small import loop_of, make
from step import values_of

from bpfree import InputError, rules
from bpfree.data.sources import TensorSource
from bpfree.functional.metrics import METRICS
from bpfree.nets.delay_snn import Readout, Settings
from bpfree.rules import RULES
from bpfree.training.data import Data, Spec
from bpfree.training.loop import Loop

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, T = 12, 5, 2
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(B, N)), RNG.normal(size=(B, T))
SGD = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "weight_decay": 0.0, "lr_schedule": "constant", "epochs": 1}
SERVES = ("backprop", "cafo", "delay-snn", "delay-snn-local", "dfa", "fa", "gradient-noise", "local-loss")
SERVES += ("mono-forward", "random-features", "reservoir")


def numbers(x: Array = X, y: Array = Y) -> Data:
    source = TensorSource(torch.from_numpy(x), torch.from_numpy(y))
    spec = Spec("numbers", x.shape[1:], 0, None, "regression", "r2", True, "", "", targets=y.shape[1])
    return Data(spec, source, source, source)


def step(algo: str, **values: Any) -> tuple[dict[str, Array], dict[str, Array], Loop]:
    """All values before, how far each has moved down, and the loop of one batch."""
    settings = values if algo == "reservoir" else {**SGD, **values}
    loop = loop_of(make(algo, **{"batch_size": B, **settings}), numbers(), precision="fp64")
    before = values_of(loop.trainer)
    loop.run()
    after = values_of(loop.trainer)
    return before, {name: before[name] - after[name] for name in before}, loop


def layer(values: dict[str, Array], k: int, h: Array) -> Array:
    return h @ values[f"blocks.{k}.1.weight"].T + values[f"blocks.{k}.1.bias"]


def error(f: Array) -> Array:
    """Gradient of ``mean (f - y)^2`` over all B T entries."""
    return 2 * (f - Y) / (B * T)


def test_backprop_is_the_gradient_of_the_mean_squared_error():
    before, moved, loop = step("backprop", hidden=(4,))
    z = layer(before, 0, X)
    f = layer(before, 1, relu(z))
    np.testing.assert_allclose(moved["blocks.1.1.weight"], error(f).T @ relu(z), **CLOSE)
    delta = error(f) @ before["blocks.1.1.weight"] * (z > 0)
    np.testing.assert_allclose(moved["blocks.0.1.weight"], delta.T @ X, **CLOSE)
    assert loop.history[0]["loss"]["net"] == pytest.approx(((f - Y) ** 2).mean(), abs=1e-12)


def test_mono_forward_descends_the_squared_error_of_every_block():
    before, moved, _ = step("mono-forward", hidden=(4, 3))
    h = X
    for k in range(2):
        z = layer(before, k, h)
        e = error(relu(z) @ before[f"heads.{k}.weight"].T)
        np.testing.assert_allclose(moved[f"heads.{k}.weight"], e.T @ relu(z), **CLOSE)
        np.testing.assert_allclose(
            moved[f"blocks.{k}.1.weight"], (e @ before[f"heads.{k}.weight"] * (z > 0)).T @ h, **CLOSE
        )
        h = relu(z)


def test_dfa_sends_twice_the_residual():
    before, moved, _ = step("dfa", hidden=(4, 3))
    z0 = layer(before, 0, X)
    z1 = layer(before, 1, relu(z0))
    e = error(layer(before, 2, relu(z1)))
    np.testing.assert_allclose(moved["blocks.0.1.weight"], (e @ before["feedback_0"] * (z0 > 0)).T @ X, **CLOSE)
    np.testing.assert_allclose(moved["blocks.1.1.weight"], (e @ before["feedback_1"] * (z1 > 0)).T @ relu(z0), **CLOSE)
    np.testing.assert_allclose(moved["blocks.2.1.weight"], e.T @ relu(z1), **CLOSE)


def test_fa_sends_twice_the_residual_down():
    before, moved, _ = step("fa", hidden=(4,))
    z = layer(before, 0, X)
    e = error(layer(before, 1, relu(z)))
    np.testing.assert_allclose(moved["blocks.0.1.weight"], (e @ before["feedback_1"] * (z > 0)).T @ X, **CLOSE)


def test_replicas_of_gradient_noise_have_a_loss_each():
    options = {"net": "replicated-mlp", "replicas": 3, "hidden": (4,), "clip": None, "noise_eta": None}
    before, moved, loop = step("gradient-noise", **options)
    for r in range(3):
        w0, w1 = before["blocks.0.1.weight"][r], before["blocks.1.0.weight"][r]
        b0, b1 = (before[f"blocks.{name}.bias"].reshape(3, -1)[r] for name in ("0.1", "1.0"))
        a = relu(X @ w0.T + b0)
        np.testing.assert_allclose(moved["blocks.1.0.weight"][r], error(a @ w1.T + b1).T @ a, **CLOSE)
    scores, y = loop.scores(loop.data.val)
    assert tuple(scores.shape) == (B, 3, T)
    assert METRICS["r2"](scores, y).isfinite()


def test_local_loss_is_the_prediction_alone():
    before, moved, loop = step("local-loss", hidden=(4,))
    z = layer(before, 0, X)
    head, bias = before["heads.0.classify.weight"], before["heads.0.classify.bias"]
    e = error(relu(z) @ head.T + bias)
    np.testing.assert_allclose(moved["heads.0.classify.weight"], e.T @ relu(z), **CLOSE)
    assert loop.trainer.notes == ["similarity matching compares classes: left out for regression (loss = pred)"]


def ridge(h: Array, share: float) -> Array:
    gram = h.T @ h
    return np.linalg.solve(gram + share * np.trace(gram) / len(gram) * np.eye(len(gram)), h.T @ Y)


def test_cafo_solves_every_predictor_and_predicts_their_mean():
    before, _, loop = step("cafo", hidden=(4, 3), ridge=0.2)
    after, h, predictions = values_of(loop.trainer), X, []
    for k in range(2):
        h = relu(layer(before, k, h))
        w = ridge(h, 0.2)
        np.testing.assert_allclose(after[f"heads.{k}.weight"], w.T, rtol=0, atol=1e-10)
        predictions.append(h @ w)
    scores, _ = loop.scores(loop.data.val)
    np.testing.assert_allclose(scores.numpy(), np.mean(predictions, 0), rtol=1e-5, atol=1e-6)  # kept in float32


def test_cafo_aligns_its_blocks_with_the_residual():
    options = {"block_epochs": 1, "block_optimizer": "sgd", "block_lr": 1.0}
    before, moved, _ = step("cafo", hidden=(4, 3), variant="dfa", **options)
    z0 = layer(before, 0, X)
    a1 = relu(layer(before, 1, relu(z0)))
    e = error(a1 @ before["aux.weight"].T + before["aux.bias"])
    np.testing.assert_allclose(moved["blocks.0.1.weight"], (e @ before["feedback_0"] * (z0 > 0)).T @ X, **CLOSE)


def test_random_features_have_a_least_squares_readout():
    before, moved, _ = step("random-features", hidden=(4,))
    a = relu(layer(before, 0, X))
    np.testing.assert_allclose(moved["blocks.1.1.weight"], error(layer(before, 1, a)).T @ a, **CLOSE)
    assert not moved["blocks.0.1.weight"].any()


def test_reservoir_solves_for_the_numbers():
    options = {"net": "optics", "hidden": (1,), "ports": N, "outputs": 6, "ridge": 1e-2}
    _, _, loop = step("reservoir", **options, photons=None, read_noise=0.0, adc_bits=None)
    s = loop.trainer.features_of(torch.from_numpy(X)).double().numpy()
    np.testing.assert_allclose(loop.trainer.readout.numpy(), ridge(s, 1e-2), rtol=1e-6, atol=1e-9)


def test_delay_readout_of_numbers_is_the_mean_of_the_membranes():
    """Without delays a membrane is ``v[t] = (1 - 1 / tau) v[t-1] + i[t]``, here with tau of two steps."""
    settings = Settings(delays="none", tau_ms=20.0, bin_ms=10.0)
    readout = Readout(3, numbers().spec, settings).double().eval()
    spikes = torch.from_numpy(RNG.integers(0, 2, size=(4, 7, 3)).astype(float))  # (B, T, I)
    currents = spikes.numpy() @ readout.synapses.weight.detach().numpy()[:, :, 0].T
    v, total = np.zeros((4, T)), np.zeros((4, T))
    for t in range(7):
        v = v / 2 + currents[:, t]
        total += v / 7
    np.testing.assert_allclose(readout(spikes).detach().numpy(), total, **CLOSE)


@pytest.mark.parametrize("algo", ["delay-snn", "delay-snn-local"])
def test_spiking_nets_learn_numbers(algo: str):
    """How many spikes came: a number that the mean of a membrane can follow. R2 0 is the mean of the targets."""
    rng = np.random.default_rng(1)
    rate = rng.random((160, 1))
    x = (rng.random((160, 12, 8)) < 0.1 + 0.6 * rate[:, :, None]).astype(np.float32)
    y = ((rate - rate.mean()) / rate.std()).astype(np.float32)
    values = {"hidden": (16,), "max_delay_ms": 30, "epochs": 12, "batch_size": 20, "lr": 0.02}
    loop = loop_of(make(algo, **values), numbers(x, y))
    loop.run()
    assert loop.evaluate(loop.data.val) > 0.6


@pytest.mark.parametrize("algo", sorted(set(RULES.builtin) - set(SERVES)))
def test_other_rules_refuse_numbers_in_a_line(algo: str):
    with pytest.raises(InputError, match=r"cannot learn regression .*: it serves "):
        rules.rule(algo)(net="mlp").build(numbers().spec)


@pytest.mark.parametrize("predictor", ["ce", "sparsemax"])
def test_losses_of_classes_are_refused_for_numbers(predictor: str):
    with pytest.raises(InputError, match=f"predictor = {predictor} is for classes: use mse"):
        make("cafo", predictor=predictor, hidden=(3,)).build(numbers().spec)


def test_similarity_of_numbers_is_refused():
    with pytest.raises(InputError, match="loss = sim compares classes: use pred for regression"):
        make("local-loss", loss="sim", hidden=(3,)).build(numbers().spec)


NETS = {"mlp": (5,), "cnn": (1, 16, 16), "vgg8b": (1, 32, 32), "gru": (6, 3), "conv1d": (6, 3)}


@pytest.mark.parametrize(("net", "shape"), NETS.items())
def test_nets_end_in_a_number_a_target(net: str, shape: tuple[int, ...]):
    data = numbers(RNG.normal(size=(4, *shape)).astype(np.float32), Y[:4].astype(np.float32))
    trainer = make("backprop", net=net)
    trainer.build(data.spec)
    assert tuple(trainer.predict(next(data.val.batches(4))).shape) == (4, T)


def test_a_net_for_two_targets_is_not_one_for_three():
    trainer = make("backprop", hidden=(3,))
    trainer.build(numbers().spec)
    with pytest.raises(InputError, match="make a new trainer"):
        trainer.build(numbers(X, RNG.normal(size=(B, 3))).spec)
