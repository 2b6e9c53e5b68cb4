"""Spiking neurons by hand, in float64, and beside spikingjelly's."""

import sys

import numpy as np
import pytest
import torch

from bpfree.errors import InputError
from bpfree.functional.spiking import lif, membrane, spikingjelly_lif

TAU, ALPHA = 4.0, 5.0  # beta 3/4


def driven(*currents: float) -> torch.Tensor:
    return torch.tensor(currents, dtype=torch.float64).view(-1, 1).requires_grad_()


def test_a_neuron_by_hand():
    """h = 0.5, 0.875 (0.375 + 0.5), 1.15625 (fires, back to 0), 0.5, 1.375 (fires)."""
    assert lif(driven(0.5, 0.5, 0.5, 0.5, 1.0), TAU, ALPHA).flatten().tolist() == [0, 0, 1, 0, 1]


def test_a_membrane_exactly_at_the_threshold_fires():
    assert lif(driven(1.0), TAU, ALPHA).item() == 1


def test_gradient_is_the_surrogate_through_time_but_not_through_the_reset():
    """dL/dx[t] = sum_u>=t g[u] s'(h[u]) prod_t<=r<u (1 - s[r]) beta, summed out term by term."""
    rng, beta = np.random.default_rng(1), 1 - 1 / TAU
    x, g = rng.normal(0.5, 0.7, size=12), rng.normal(size=12)
    h, s, v = np.zeros(12), np.zeros(12), 0.0
    for t in range(12):
        h[t] = beta * v + x[t]
        s[t] = h[t] >= 1
        v = h[t] * (1 - s[t])
    slope = ALPHA / 2 / (1 + (np.pi / 2 * ALPHA * (h - 1)) ** 2)
    expected = [sum(g[u] * slope[u] * np.prod((1 - s[t:u]) * beta) for u in range(t, 12)) for t in range(12)]
    leaf = driven(*x)
    out = lif(leaf, TAU, ALPHA)
    out.backward(torch.from_numpy(g).view(-1, 1))
    np.testing.assert_array_equal(out.detach().flatten(), s)
    assert 0 < s.sum() < 12
    np.testing.assert_allclose(leaf.grad.flatten(), expected, rtol=0, atol=1e-13)


def test_the_slope_peaks_at_alpha_over_two():
    leaf = driven(1.0)
    lif(leaf, TAU, ALPHA).sum().backward()
    assert leaf.grad.item() == 2.5


def test_a_membrane_that_never_fires_is_a_sum_of_decayed_currents():
    x = driven(1.0, -2.0, 4.0)
    v = membrane(x, TAU)
    assert v.flatten().tolist() == [1.0, -1.25, 4 - 0.75 * 1.25]
    assert torch.autograd.gradcheck(lambda x: membrane(x, TAU), x)


def test_state_ends_with_the_call():
    x = driven(0.9)
    assert [lif(x, TAU, ALPHA).item() for _ in range(3)] == [0, 0, 0]  # 0.9 + 0.675 would fire


@pytest.mark.parametrize("tau", [1.005, 1.5, 4.0])
def test_spikes_are_spikingjellys_and_gradients_too_to_rounding(tau: float):
    pytest.importorskip("spikingjelly", reason="the extra snn is not installed")
    generator = torch.Generator().manual_seed(0)
    x, g = (torch.randn(50, 16, 32, generator=generator) for _ in range(2))
    results = []
    for neurons in (lif, spikingjelly_lif):
        leaf = x.clone().requires_grad_()
        spikes = neurons(leaf, tau, ALPHA)
        results.append((spikes.detach(), torch.autograd.grad(spikes, leaf, g)[0]))
    (mine, my_gradient), (theirs, their_gradient) = results
    assert mine.equal(theirs)
    assert (my_gradient - their_gradient).abs().max() <= 6e-6 * their_gradient.abs().max()


def test_without_spikingjelly_one_line_says_how_to_get_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("spikingjelly")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "spikingjelly", None)
    with pytest.raises(InputError, match=r"needs spikingjelly.*: pip install spikingjelly"):
        spikingjelly_lif(driven(1.0), TAU, ALPHA)
