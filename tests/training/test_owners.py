"""Owners: optimizers, transforms, state."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bpfree.training.distributed import world
from bpfree.training.optimizers import OptimSettings
from bpfree.training.owners import Owner

PROGRESS = [0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0]


def parameters() -> list[nn.Parameter]:
    """A matrix, a kernel and a bias of ones."""
    return [nn.Parameter(torch.ones(shape, dtype=torch.float64)) for shape in ((2, 3), (2, 1, 3, 3), (4,))]


def owner(params: list[nn.Parameter], transforms=(), **values) -> Owner:
    return Owner(params, OptimSettings(**values), transforms)


def give(params: list[nn.Parameter], value: float) -> None:
    for p in params:
        p.grad = torch.full_like(p, value)


def test_weight_decay_shrinks_matrices_and_kernels_but_no_bias():
    """SGD with zero gradients: w <- w (1 - lr * decay)."""
    params = parameters()
    sgd = owner(params, optimizer="sgd", lr=0.5, weight_decay=0.1, momentum=0.0)
    give(params, 0.0)
    sgd.step(0.0)
    matrix, kernel, bias = params
    assert torch.allclose(matrix, torch.full_like(matrix, 0.95), rtol=0, atol=1e-15)
    assert torch.allclose(kernel, torch.full_like(kernel, 0.95), rtol=0, atol=1e-15)
    assert bias.equal(torch.ones_like(bias))


def test_sgd_with_momentum_is_its_recurrence():
    """v <- 0.9 v + g, w <- w - lr v: after two steps with g = 1 it has gone lr (1 + 1.9)."""
    params = parameters()
    sgd = owner(params, optimizer="sgd", lr=0.01, momentum=0.9)
    for _ in range(2):
        give(params, 1.0)
        sgd.step(0.0)
    assert all(torch.allclose(p, torch.full_like(p, 1 - 0.01 * 2.9), rtol=0, atol=1e-12) for p in params)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_first_step_of_adam_is_the_learning_rate_against_the_sign(name: str):
    """m/sqrt(v) = g/|g| after correction, but for eps = 1e-8."""
    params = parameters()
    adam = owner(params, optimizer=name, lr=0.01)
    give(params, -2.0)
    adam.step(0.0)
    assert all(torch.allclose(p, torch.full_like(p, 1.01), rtol=0, atol=1e-9) for p in params)


def test_first_step_of_rmsprop():
    """v = 0.01 g^2, so the step is lr g / (0.1 |g|) = 10 lr."""
    params = parameters()
    rmsprop = owner(params, optimizer="rmsprop", lr=0.001, momentum=0.0)
    give(params, 3.0)
    rmsprop.step(0.0)
    assert all(torch.allclose(p, torch.full_like(p, 0.99), rtol=0, atol=1e-8) for p in params)


def test_a_step_is_taken_at_the_rate_of_its_progress():
    params = parameters()
    sgd = owner(params, optimizer="sgd", lr=1.0, momentum=0.0, lr_schedule="half-linear")
    give(params, 1.0)
    sgd.step(0.75)
    assert all(torch.allclose(p, torch.full_like(p, 0.5), rtol=0, atol=1e-15) for p in params)


def test_warm_up_multiplies_the_schedule():
    """Half of cosine's 1/2 at half the phase, in the second of four batches."""
    params = parameters()
    sgd = owner(params, optimizer="sgd", lr=1.0, momentum=0.0, lr_schedule="cosine", warmup_steps=4)
    give(params, 1.0)
    sgd.step(0.5, 1)
    assert all(torch.allclose(p, torch.full_like(p, 0.75), rtol=0, atol=1e-15) for p in params)


def test_transforms_run_in_the_order_they_are_listed():
    def double(grads):
        torch._foreach_mul_(list(grads), 2.0)

    def add(grads):
        torch._foreach_add_(list(grads), 1.0)

    params = parameters()
    sgd = owner(params, [double, add], optimizer="sgd", lr=1.0, momentum=0.0)
    give(params, 3.0)
    sgd.step(0.0)
    assert all(p.equal(torch.full_like(p, 1.0 - 7.0)) for p in params)


def test_frozen_parameters_are_not_owned():
    params = parameters()
    params[0].requires_grad_(False)
    assert len(owner(params).params) == 2


def test_clear_forgets_the_gradients():
    params = parameters()
    mine = owner(params)
    give(params, 1.0)
    mine.clear()
    assert mine.grads == []


def test_an_owner_restored_steps_like_the_one_that_was_saved():
    params, copies = parameters(), parameters()
    first, second = (owner(group, optimizer="adam", lr=0.1) for group in (params, copies))
    give(params, 1.0)
    first.step(0.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # as a file does
    for p, other in zip(params, copies, strict=True):
        other.data.copy_(p)
    for group, mine in ((params, first), (copies, second)):
        give(group, -0.3)
        mine.step(0.0)
    assert all(p.equal(other) for p, other in zip(params, copies, strict=True))


def test_the_state_of_a_transform_is_saved_with_its_owner():
    class Counting:
        def __init__(self):
            self.calls = 0

        def __call__(self, grads):
            self.calls += 1

        def state_dict(self):
            return {"calls": self.calls}

        def load_state_dict(self, state):
            self.calls = state["calls"]

    params = parameters()
    before, after = Counting(), Counting()
    mine = owner(params, [before])
    give(params, 1.0)
    mine.step(0.0)
    owner(parameters(), [after]).load_state_dict(mine.state_dict())
    assert after.calls == 1


def test_outside_torchrun_the_world_is_one_process():
    assert world() == (0, 1)


def test_a_reduced_gradient_lies_in_memory_as_its_parameter_does(monkeypatch):
    """Fused optimizers walk both in memory order; a kernel may be channels-last."""
    kernel = nn.Parameter(torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last))
    kernel.grad = torch.arange(24.0).view(2, 3, 2, 2)
    expected = kernel.grad.clone()
    monkeypatch.setattr("bpfree.training.distributed.world", lambda: (0, 2))
    monkeypatch.setattr("torch.distributed.all_reduce", lambda flat, async_op: SimpleNamespace(wait=lambda: None))
    Owner([kernel], OptimSettings()).reduce(1.0)()
    assert kernel.grad.stride() == kernel.stride()
    assert kernel.grad.equal(expected)
