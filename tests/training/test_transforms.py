"""Gradient transforms."""

import copy
import math

import numpy as np
import pytest
import torch
from small import loop_of, make, tiny

from bpfree.functional.gradients import total_norm, walk_std
from bpfree.training.transforms import AnnealedNoise, Centralise, ClipNorm


def noise(eta: float = 0.01, gamma: float = 0.55, *seeds: int) -> AnnealedNoise:
    return AnnealedNoise(eta, gamma, [torch.Generator().manual_seed(seed) for seed in seeds or (0,)])


def zeros() -> list[torch.Tensor]:
    """A matrix and a bias, as a layer has them."""
    return [torch.zeros(40, 50, dtype=torch.float64), torch.zeros(40, dtype=torch.float64)]


def test_total_norm_is_the_euclidean_norm_of_all_entries():
    assert total_norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]).item() == 5.0


def test_clip_scales_all_gradients_to_the_limit_together():
    grads = [torch.tensor([3.0]), torch.tensor([4.0])]
    ClipNorm(1.0)(grads)
    assert torch.allclose(torch.cat(grads), torch.tensor([0.6, 0.8]))


def test_clip_leaves_small_gradients_alone():
    grads = [torch.tensor([0.3]), torch.tensor([-0.4])]
    ClipNorm(1.0)(grads)
    assert torch.cat(grads).equal(torch.tensor([0.3, -0.4]))


def test_clip_leaves_zero_gradients_zero():
    grads = [torch.zeros(3)]
    ClipNorm(1.0)(grads)
    assert grads[0].equal(torch.zeros(3))


def test_centralise_takes_the_mean_over_the_fan_in_from_every_output():
    grads = [torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])]
    Centralise()(grads)
    assert grads[0].equal(torch.tensor([[-2.0, -1.0, 3.0], [-1.0, -1.0, 2.0]]))


def test_centralise_takes_one_mean_over_channels_and_pixels_of_a_kernel():
    kernel = torch.arange(16.0).reshape(2, 2, 1, 4)  # means 3.5 and 11.5
    grads = [kernel.clone()]
    Centralise()(grads)
    assert grads[0].equal(kernel - torch.tensor([3.5, 11.5]).view(2, 1, 1, 1))


def test_centralise_leaves_vectors_alone():
    grads = [torch.tensor([1.0, 2.0])]
    Centralise()(grads)
    assert grads[0].equal(torch.tensor([1.0, 2.0]))


def test_replicas_are_clipped_each_by_its_own_norm():
    """(3, 4) has norm 5, (0.3, 0.4) has 0.5: at a limit of 1 the first is divided by 5 and the second stays."""
    grads = [torch.tensor([3.0, 0.3]), torch.tensor([[[4.0]], [[0.4]]])]
    ClipNorm(1.0, replicas=2)(grads)
    assert torch.allclose(
        torch.cat([g.flatten() for g in grads]), torch.tensor([0.6, 0.3, 0.8, 0.4]), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize(("t", "std"), [(0, 0.100), (100, 0.028), (1_000, 0.015), (10_000, 0.0079), (100_000, 0.0042)])
def test_noise_has_the_standard_deviation_of_the_schedule(t: int, std: float):
    """sqrt(eta) (1+t)^(-gamma/2) at eta = .01: rounded values; 250,000 draws have a relative error of 0.14 %."""
    transform, grads = noise(), [torch.zeros(500, 500)]
    transform.t = t
    transform(grads)
    assert grads[0].std().item() == pytest.approx(std, rel=0.03)
    assert abs(grads[0].mean().item()) < 5 * std / 500


def test_noise_is_added_to_the_gradient():
    with_gradient, alone = [torch.full((3, 4), 2.0, dtype=torch.float64)], [torch.zeros(3, 4, dtype=torch.float64)]
    noise()(with_gradient)
    noise()(alone)
    assert torch.allclose(with_gradient[0] - 2.0, alone[0], rtol=0, atol=1e-15)


def test_every_step_draws_anew_and_counts():
    transform, first, second = noise(), zeros(), zeros()
    transform(first)
    transform(second)
    assert transform.t == 2
    assert not any(a.equal(b) for a, b in zip(first, second, strict=True))


def test_a_replica_draws_what_a_single_net_with_its_generator_draws():
    seeds = (7, 8, 9)
    replicated = [torch.stack([g] * 3) for g in zeros()]
    replicated[1] = replicated[1].flatten()  # a bias may hold its replicas one after another
    transform = noise(0.01, 0.55, *seeds)
    singles = [noise(0.01, 0.55, seed) for seed in seeds]
    for _ in range(2):
        transform(replicated)
        alone = [zeros() for _ in seeds]
        for single, grads in zip(singles, alone, strict=True):
            single(grads)
        for r, (weight, bias) in enumerate(alone):
            assert replicated[0][r].equal(weight)
            assert replicated[1].view(3, 40)[r].equal(bias)
        replicated = [torch.zeros_like(g) for g in replicated]


def test_noise_restored_goes_on_like_the_one_that_was_saved():
    first, second, a, b = noise(), noise(0.01, 0.55, 1), zeros(), zeros()
    first(a)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    first(a := zeros())
    second(b)
    assert all(x.equal(y) for x, y in zip(a, b, strict=True))


def test_walk_std_is_the_sum_of_the_variances():
    """Var W = lr^2 eta sum_{t<T} (1+t)^-gamma; the closed form is under 1 % above it at T = 5,000."""
    for steps in (5_000, 45_000):
        exact = 0.1 * math.sqrt(0.01 * (np.arange(1, steps + 1) ** -0.55).sum())
        assert exact < walk_std(0.1, 0.01, 0.55, steps) < 1.01 * exact
    assert walk_std(0.1, 0.01, 0.55, 10_000) == pytest.approx(0.118, abs=5e-4)


def trainer_with(**values):
    return loop_of(make("mono-forward", hidden=(12, 11), **values), tiny()).trainer


def test_any_rule_composes_centralise_clip_and_noise_in_this_order():
    transforms = trainer_with(noise_eta=0.01, clip=1.0, centralise=True).transforms(0)
    assert [type(transform) for transform in transforms] == [Centralise, ClipNorm, AnnealedNoise]


def test_without_settings_gradients_are_left_alone():
    assert trainer_with().transforms(0) == []


def test_owners_draw_different_noise_and_processes_the_same():
    """Nothing but the seed, the phase and the owner decides."""
    drawn = []
    for owner in (0, 1, 0):
        (transform,) = trainer_with(noise_eta=0.01).transforms(owner)
        grads = [torch.zeros(20)]
        transform(grads)
        drawn.append(grads[0])
    assert drawn[0].equal(drawn[2])
    assert not drawn[0].equal(drawn[1])


@pytest.mark.parametrize("transform", [ClipNorm(1.0), noise()], ids=["clip", "noise"])
def test_gradients_of_any_layout_are_changed_in_place(transform):
    """A scalar, and a matrix that is the transpose of a contiguous one, as a rule may fill it in."""
    grads = [torch.tensor(3.0), torch.full((2, 3), 4.0).T]
    transform(grads)
    assert (grads[0].item() != 3.0, (grads[1] != 4.0).all().item()) == (True, True)
