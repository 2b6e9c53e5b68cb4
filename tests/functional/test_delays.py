"""Delay kernels and their convolution over time, against their definitions in numpy and float64."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from bpfree.functional.delays import (
    convolve,
    direct_convolution,
    fourier_convolution,
    fourier_is_cheaper,
    gauss_kernel,
    tap_kernel,
)

RNG = np.random.default_rng(0)
PATHS = [direct_convolution, fourier_convolution]
SHAPES = list(itertools.product((7, 12), (3, 6), (0, 2)))  # T, K, steps longer: N = T + K - 1 even and odd


def tensor(*shape: int) -> Tensor:
    return torch.from_numpy(RNG.normal(size=shape))


def by_definition(x: np.ndarray, kernel: np.ndarray, steps_out: int) -> np.ndarray:
    y = np.zeros((steps_out, x.shape[1], kernel.shape[2]))
    for t, d in itertools.product(range(steps_out), range(len(kernel))):
        if 0 <= t - d < len(x):
            y[t] += x[t - d] @ kernel[d]
    return y


@pytest.mark.parametrize("width", [0.5, 2.0, 12.27])
def test_the_taps_of_a_bump_sum_to_the_weight_wherever_it_is(width: float):
    weight, delay = tensor(4, 5), torch.linspace(0, 24, 20, dtype=torch.float64).view(4, 5)
    kernel = gauss_kernel(weight, delay, torch.tensor(width, dtype=torch.float64), 25)
    torch.testing.assert_close(kernel.sum(0), weight, rtol=0, atol=1e-14)


def test_a_bump_is_a_normalised_gauss_bell_at_the_delay():
    delay, width, taps = np.array([0.3, 3.6, 6.0]), 1.3, 7
    bell = np.exp(-(((np.arange(taps)[:, None] - delay) / width) ** 2) / 2)
    one = torch.ones(3, dtype=torch.float64)
    kernel = gauss_kernel(one, torch.from_numpy(delay), torch.tensor(width, dtype=torch.float64), taps)
    np.testing.assert_allclose(kernel, bell / bell.sum(0), rtol=0, atol=1e-14)


def test_half_a_step_wide_a_centred_bump_has_its_mass_on_one_tap():
    """1 / (1 + 2 e^-2 + 2 e^-8 + …) = 0.787."""
    kernel = gauss_kernel(torch.ones(()), torch.tensor(12.0), torch.tensor(0.5), 25)
    assert kernel.max().item() == pytest.approx(0.787, abs=1e-3)
    assert (kernel > 1e-3).sum() == 3


@pytest.mark.parametrize(("delay", "tap"), [(0.0, 0), (0.4, 0), (3.6, 4), (24.0, 24)])
def test_in_evaluation_all_weight_is_on_the_nearest_tap(delay: float, tap: int):
    kernel = tap_kernel(torch.tensor(-1.7), torch.tensor(delay), 25)
    assert kernel.nonzero().flatten().tolist() == [tap]
    assert kernel[tap] == torch.tensor(-1.7)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("steps", "taps", "longer"), SHAPES)
def test_convolution_is_its_definition(path, steps: int, taps: int, longer: int):
    x, kernel = tensor(steps, 3, 4), tensor(taps, 4, 5)
    expected = by_definition(x.numpy(), kernel.numpy(), steps + longer)
    np.testing.assert_allclose(path(x, kernel, steps + longer), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("width", [12.27, 0.5])
def test_both_paths_agree_in_value_and_gradients(dtype: torch.dtype, close: float, width: float):
    """At 100 steps of 25 taps; relative to the largest value of each."""
    x = (torch.rand(100, 8, 12, generator=torch.Generator().manual_seed(0)) < 0.2).to(dtype)
    delay = torch.linspace(0, 24, 12 * 9).view(12, 9)
    results = []
    for path in PATHS:
        leaves = [t.to(dtype).clone().requires_grad_() for t in (x, torch.ones(12, 9).cumsum(1) / 9, delay)]
        leaves.append(torch.tensor(width, dtype=dtype, requires_grad=True))
        y = path(leaves[0], gauss_kernel(*leaves[1:], 25), 112)
        shape = torch.linspace(-1, 1, y.numel(), dtype=dtype).view(y.shape)
        results.append([y.detach(), *torch.autograd.grad((y * shape).sum(), leaves)])
    for direct, fourier in zip(*results, strict=True):
        assert (direct - fourier).abs().max() <= close * direct.abs().max()


@pytest.mark.parametrize("path", PATHS)
def test_gradients_are_finite_differences(path):
    width = torch.tensor(1.3, dtype=torch.float64)
    delay = torch.tensor([[0.2, 1.4], [2.7, 3.9]], dtype=torch.float64)
    leaves = [t.requires_grad_() for t in (tensor(6, 2, 2), tensor(2, 2), delay, width)]
    assert torch.autograd.gradcheck(lambda x, w, c, s: path(x, gauss_kernel(w, c, s, 5), 8), leaves)


def test_an_impulse_arrives_after_its_delay():
    x = torch.zeros(10, 1, 1)
    x[3] = 1
    kernel = tap_kernel(torch.full((1, 1), 0.5), torch.full((1, 1), 4.0), 6)
    assert convolve(x, kernel, 12).flatten().tolist() == [0.5 if t == 7 else 0 for t in range(12)]


def test_a_delay_of_a_net_for_speech_goes_by_fourier_and_a_few_taps_go_directly():
    """The net of the paper: 0.29 of the products. 3 taps on 7 inputs: the transforms alone cost more."""
    assert fourier_is_cheaper(100, 256, 140, 256, 25, 112)
    assert not fourier_is_cheaper(7, 8, 7, 12, 3, 8)


def test_low_precision_stays_out_of_the_convolution():
    """Products in bfloat16 would put errors of a percent of the largest current into the smallest."""
    x, kernel = tensor(100, 8, 12).float(), tensor(25, 12, 9).float()
    with torch.autocast("cpu", torch.bfloat16):
        low = convolve(x, kernel, 100)
    assert low.equal(convolve(x, kernel, 100))
