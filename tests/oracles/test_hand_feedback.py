"""Feedback alignment, layer by layer and direct, against hand-worked nets in numpy and float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain import Array, cross_entropy, one_hot, relu, softmax
from small import loop_of, make, ready, snapshot, tiny
from step import arrays, data_of, one_step
from torch import nn

from bpfree.errors import InputError
from bpfree.functional.feedback import feedback_matrix, output_error, rehearse
from bpfree.rules.dfa import DFA
from bpfree.rules.fa import FA
from bpfree.training.loop import Loop

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 7, 3
X, Y = arrays(B, N, C)
HIDDEN = (6, 5)
WEIGHTS = [f"blocks.{k}.1.{kind}" for k in range(3) for kind in ("weight", "bias")]


def forward(v: dict[str, Array]) -> tuple[list[Array], list[Array], Array]:
    """Inputs of the three layers, their pre-activations, and the output error."""
    inputs, z = [X], []
    for k in range(3):
        z.append(inputs[-1] @ v[f"blocks.{k}.1.weight"].T + v[f"blocks.{k}.1.bias"])
        inputs.append(relu(z[-1]))
    return inputs, z, (softmax(z[-1]) - one_hot(Y, C)) / B


def updates(v: dict[str, Array], deltas: list[Array]) -> dict[str, Array]:
    inputs, _, _ = forward(v)
    found = {f"blocks.{k}.1.weight": delta.T @ inputs[k] for k, delta in enumerate(deltas)}
    return found | {f"blocks.{k}.1.bias": delta.sum(0) for k, delta in enumerate(deltas)}


def by_hand_direct(v: dict[str, Array]) -> dict[str, Array]:
    """Every hidden layer gets e B_k times its own derivative; the last one the true gradient."""
    _, z, e = forward(v)
    return updates(v, [(e @ v["feedback_0"]) * (z[0] > 0), (e @ v["feedback_1"]) * (z[1] > 0), e])


def by_hand_layered(v: dict[str, Array], transport: list[Array]) -> dict[str, Array]:
    """The error goes down through ``transport[k]`` where backpropagation has W_k."""
    _, z, e = forward(v)
    middle = (e @ transport[2]) * (z[1] > 0)
    return updates(v, [(middle @ transport[1]) * (z[0] > 0), middle, e])


@pytest.mark.parametrize("name", WEIGHTS)
def test_dfa_update_is_the_hand_gradient(name: str):
    before, moved, _ = one_step("dfa", X, Y, hidden=HIDDEN)
    np.testing.assert_allclose(moved[name], by_hand_direct(before)[name], **CLOSE)


@pytest.mark.parametrize("name", WEIGHTS)
def test_fa_update_is_the_hand_gradient(name: str):
    before, moved, _ = one_step("fa", X, Y, hidden=HIDDEN)
    expected = by_hand_layered(before, [before[f"feedback_{i}"] for i in range(3)])
    np.testing.assert_allclose(moved[name], expected[name], **CLOSE)


@pytest.mark.parametrize("algo", ["dfa", "fa"])
def test_the_loss_told_is_the_cross_entropy_of_the_output(algo: str):
    before, _, losses = one_step(algo, X, Y, hidden=HIDDEN)
    _, z, _ = forward(before)
    assert list(losses.values()) == [pytest.approx(cross_entropy(z[-1], Y), abs=1e-12)]


@pytest.mark.parametrize("algo", ["dfa", "fa"])
def test_feedback_is_fixed_and_saved(algo: str):
    before, moved, _ = one_step(algo, X, Y, hidden=HIDDEN)
    kept = [name for name in before if name.startswith("feedback_")]
    assert len(kept) == {"dfa": 2, "fa": 3}[algo]
    assert not any(moved[name].any() for name in kept)


def convolutional(rule: type, seed: int = 0) -> Loop:
    """Two convolutions, the second strided, padded and dilated, and a classifier; six digits of 7x7 pixels."""
    torch.manual_seed(seed)
    blocks = [
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), nn.ReLU(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(24, 10)),
    ]
    trainer = rule(blocks, epochs=1, batch_size=6, optimizer="sgd", momentum=0.0, lr=1.0)
    return loop_of(trainer, tiny(6), precision="fp64")


def test_with_its_own_weights_as_feedback_fa_is_backpropagation():
    """Linear layers and convolutions: the gradient by torch of the whole net."""
    loop = convolutional(FA)
    for i, layer in enumerate(loop.trainer.layers):
        getattr(loop.trainer, f"feedback_{i}").copy_(layer.weight.detach())
    before, batch = snapshot(loop.trainer), ready(loop)
    batch.x = batch.x.double()
    grads = torch.autograd.grad(F.cross_entropy(loop.trainer.predict(batch), batch.y), [*loop.trainer.parameters()])
    loop.learn(batch)
    for (name, p), grad in zip(loop.trainer.named_parameters(), grads, strict=True):
        assert torch.allclose(before[name] - p, grad, rtol=0, atol=1e-12), name


def test_fa_sends_the_error_through_a_convolution_by_its_feedback():
    """The first layer moves as in a net whose second layer has the feedback for weights on the way back."""
    loop = convolutional(FA)
    trainer, batch = loop.trainer, ready(loop)
    batch.x = batch.x.double()
    a0 = trainer.blocks[0](batch.x)
    a1 = trainer.blocks[1](a0)
    e = output_error(trainer.blocks[2](a1), batch.y)
    d1 = (e @ trainer.feedback_2).view_as(a1)
    active = (trainer.blocks[1][0](a0) > 0).double()
    z = F.conv2d(a0, trainer.feedback_1, None, stride=2, padding=2, dilation=2, groups=2)
    expected = torch.autograd.grad(F.avg_pool2d(z * active, 2), trainer.blocks[0][0].weight, d1)[0]
    before = trainer.blocks[0][0].weight.detach().clone()
    loop.learn(batch)
    assert torch.allclose(before - trainer.blocks[0][0].weight, expected, rtol=0, atol=1e-12)


def test_fa_leaves_the_layers_as_they_were():
    """Another rule may train the same blocks afterwards."""
    loop = convolutional(FA)
    loop.run()
    assert not any("forward" in vars(layer) for layer in loop.trainer.blocks.modules())


@pytest.mark.parametrize(
    "layer",
    [nn.ConvTranspose2d(1, 1, 3), nn.Conv2d(1, 1, 3, padding="same"), nn.Conv2d(1, 1, 3, padding_mode="circular")],
)
def test_fa_refuses_layers_that_it_cannot_align(layer: nn.Module):
    with pytest.raises(InputError, match=r"fa aligns linear layers and zero-padded 2-D convolutions, not "):
        FA([nn.Sequential(layer)], epochs=1).build(tiny().spec)


def test_no_gradient_crosses_blocks_in_dfa():
    """Only the parameters of block k hold gradients just before its step."""
    loop = convolutional(DFA)
    held: list[tuple[int, list[str]]] = []
    parameters = dict(loop.trainer.named_parameters())
    loop.trainer.on_grads = lambda k: held.append((k, [n for n, p in parameters.items() if p.grad is not None]))
    loop.run()
    assert [k for k, _ in held] == [0, 1, 2]
    assert all(name.startswith(f"blocks.{k}.") for k, names in held for name in names)
    assert sorted(name for _, names in held for name in names) == sorted(parameters)


def test_dfa_pulls_the_error_through_a_block_by_its_own_derivative():
    loop = convolutional(DFA)
    trainer, batch = loop.trainer, ready(loop)
    batch.x = batch.x.double()
    e = output_error(trainer.predict(batch), batch.y)
    a0 = trainer.blocks[0](batch.x)
    a1 = trainer.blocks[1](a0.detach())
    expected = torch.autograd.grad(a1, trainer.blocks[1][0].weight, (e @ trainer.feedback_1).view_as(a1))[0]
    before = trainer.blocks[1][0].weight.detach().clone()
    loop.learn(batch)
    assert torch.allclose(before - trainer.blocks[1][0].weight, expected, rtol=0, atol=1e-12)


def test_output_error_is_the_gradient_of_the_mean_cross_entropy():
    scores = torch.from_numpy(np.random.default_rng(1).normal(size=(B, C))).requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(scores, torch.from_numpy(Y)), scores)
    assert torch.allclose(output_error(scores, torch.from_numpy(Y)), expected, rtol=0, atol=1e-15)


def test_rows_of_a_feedback_matrix_have_norm_one():
    assert torch.allclose(feedback_matrix(4, 9).norm(dim=1), torch.ones(4))


def test_a_rehearsal_sees_what_the_next_run_does_and_leaves_no_trace():
    """Dropout and batch normalisation in training mode; running statistics count the batch once."""
    blocks = nn.ModuleList([nn.Sequential(nn.Linear(N, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)), nn.Linear(8, C)])
    before = {name: tensor.clone() for name, tensor in blocks.state_dict().items()}
    x, random = torch.randn(B, N), torch.get_rng_state()
    rehearsed = rehearse(blocks, x)
    assert not rehearsed.requires_grad
    assert all(before[name].equal(tensor) for name, tensor in blocks.state_dict().items())
    assert torch.get_rng_state().equal(random)
    h = x
    for block in blocks:
        h = block(h)
    assert h.equal(rehearsed)
    assert blocks[0][1].num_batches_tracked == 1


def test_dfa_of_one_block_is_backpropagation():
    """There is no hidden block to feed back to."""
    weights = []
    for algo in ("dfa", "backprop"):
        loop = loop_of(make(algo, hidden=(), epochs=1, batch_size=B), data_of(X, Y), precision="fp64")
        loop.run()
        weights.append(snapshot(loop.trainer)["blocks.0.1.weight"])
    assert torch.allclose(*weights, rtol=0, atol=1e-12)


def test_feedback_of_grouped_convolutions_keeps_the_size_of_delta():
    """An input channel of a grouped convolution reaches its own group's outputs alone: 8 of 16 here, 3x3 each."""
    blocks = [nn.Conv2d(16, 16, 3, padding=1, groups=2), nn.Sequential(nn.Flatten(), nn.Linear(256, 3))]
    trainer = FA(blocks)
    loop_of(trainer, data_of(torch.randn(4, 16, 4, 4).numpy(), np.zeros(4, dtype=np.int64)))
    assert trainer.feedback_0.var().item() * 8 * 9 == pytest.approx(1, rel=0.2)
