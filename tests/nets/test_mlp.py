"""The multi-layer perceptron."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from bpfree.nets import mlp
from bpfree.training.data import Spec

SPEC = Spec("s", (1, 4, 5), 3, None, "classification", "accuracy", True, "", "")


def linears(blocks: list[nn.Module]) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for b in blocks for m in b.modules() if isinstance(m, nn.Linear)]


def test_hidden_layers_and_a_classifier():
    blocks = mlp.build(SPEC, mlp.Settings(hidden=(7, 6)), hidden_only=False)
    assert linears(blocks) == [(20, 7), (7, 6), (6, 3)]


def test_hidden_only_ends_before_the_classifier():
    blocks = mlp.build(SPEC, mlp.Settings(hidden=(7, 6)), hidden_only=True)
    assert linears(blocks) == [(20, 7), (7, 6)]


@pytest.mark.parametrize("hidden_only", [True, False])
def test_every_block_is_indexable_and_takes_the_one_before(hidden_only: bool):
    h = torch.rand(2, *SPEC.shape)
    for block in mlp.build(SPEC, mlp.Settings(hidden=(7, 6)), hidden_only=hidden_only):
        h = block(h)
    assert h.shape == (2, 6 if hidden_only else 3)


def test_the_classifier_has_no_activation():
    last = mlp.build(SPEC, mlp.Settings(hidden=(7,)), hidden_only=False)[-1]
    assert isinstance(list(last.modules())[-1], nn.Linear)


def test_lecun_normal_has_variance_one_over_fan_in_and_no_bias():
    """Standard error of a deviation estimated from n values is sigma / sqrt(2 n): five of them are allowed."""
    spec = Spec("s", (400,), 3, None, "classification", "accuracy", True, "", "")
    linear = mlp.build(spec, mlp.Settings(hidden=(500,), init="lecun_normal"), hidden_only=True)[0][1]
    n = linear.weight.numel()
    assert linear.weight.std().item() == pytest.approx(400**-0.5, rel=5 / (2 * n) ** 0.5)
    assert linear.bias.eq(0).all()


@pytest.mark.parametrize(("name", "kind"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("gelu", nn.GELU)])
def test_the_activation_is_that_of_the_settings(name: str, kind: type):
    block = mlp.build(SPEC, mlp.Settings(hidden=(7,), activation=name), hidden_only=True)[0]
    assert isinstance(block[-1], kind)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("zero", 0.0),
        ("normal", 0.07),
        ("he", (2 / 500) ** 0.5),
        ("sussillo_abbott", (2 / 500) ** 0.5 * math.exp(1.2 / 497.6)),
    ],
)
def test_normal_initialisations_have_their_standard_deviation_and_no_bias(init: str, std: float):
    """500 inputs, 250,000 weights: four sigma are 0.6 %."""
    spec = dataclasses.replace(SPEC, shape=(500,), classes=500)
    settings = mlp.Settings(hidden=(500,), init=init, init_std=0.07)
    for block in mlp.build(spec, settings, hidden_only=False):
        linear = next(layer for layer in block.modules() if isinstance(layer, nn.Linear))
        assert linear.weight.std().item() == pytest.approx(std, rel=0.006)
        assert linear.bias.count_nonzero() == 0


@pytest.mark.parametrize("init", ["torch", "lecun_normal"])
def test_no_layer_has_a_bias_when_none_is_wanted(init: str):
    blocks = mlp.build(SPEC, mlp.Settings(hidden=(7,), bias=False, init=init), hidden_only=False)
    assert [p.dim() for block in blocks for p in block.parameters()] == [2, 2]


def test_a_net_that_reconstructs_ends_in_the_shape_of_its_input():
    spec = Spec("s", (1, 4, 5), 0, None, "reconstruction", "mse", False, "", "")
    h = torch.rand(2, 1, 4, 5)
    for block in mlp.build(spec, mlp.Settings(hidden=(7,)), hidden_only=False):
        h = block(h)
    assert h.shape == (2, 1, 4, 5)
