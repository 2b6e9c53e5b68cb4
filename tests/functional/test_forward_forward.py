"""The mathematics of Forward-Forward: negatives, overlays, masks, goodness."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from torch import nn

from bpfree.functional import forward_forward as ff

DRAWS = torch.rand(60_000, generator=torch.Generator().manual_seed(1))
LOGITS = torch.tensor([0.3, -1.2, 2.0, 0.0, 1.1])
TRUE = 2


def counts(labels: torch.Tensor, classes: int) -> np.ndarray:
    return torch.bincount(labels, minlength=classes).numpy()


def test_hard_negatives_are_never_the_true_class():
    y = torch.full_like(DRAWS, TRUE).long()
    assert counts(ff.hard_negatives(y, DRAWS, LOGITS.expand(len(y), -1)), 5)[TRUE] == 0


def test_hard_negatives_follow_the_softmax_without_the_true_class():
    """Chi-square of 60,000 draws against exp(l_c) / sum over wrong classes."""
    y = torch.full_like(DRAWS, TRUE).long()
    drawn = np.delete(counts(ff.hard_negatives(y, DRAWS, LOGITS.expand(len(y), -1)), 5), TRUE)
    belief = np.delete(np.exp(LOGITS.double().numpy()), TRUE)
    assert scipy.stats.chisquare(drawn, belief / belief.sum() * len(y)).pvalue > 1e-3


@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize("true", range(3))
def test_hard_negatives_are_possible_classes_at_the_ends_of_the_interval(draw: float, true: int):
    """The same when the readout is so sure of the true class that the rest is nearly nothing."""
    logits = torch.full((1, 3), -40.0)
    logits[0, true] = 40.0
    label = ff.hard_negatives(torch.tensor([true]), torch.tensor([draw]), logits).item()
    assert label in {0, 1, 2} - {true}


def test_uniform_negatives_are_never_the_true_class():
    y = torch.arange(len(DRAWS)) % 10
    assert not ff.uniform_negatives(y, DRAWS, 10).eq(y).any()


def test_uniform_negatives_are_uniform_over_the_wrong_classes():
    y = torch.full_like(DRAWS, TRUE).long()
    drawn = counts(ff.uniform_negatives(y, DRAWS, 10), 10)
    assert scipy.stats.chisquare(np.delete(drawn, TRUE)).pvalue > 1e-3


def test_uniform_negatives_stay_classes_at_the_ends_of_the_interval():
    y = torch.tensor([0, 9, 0, 9])
    draws = torch.tensor([0.0, 0.0, 1 - 2**-24, 1 - 2**-24])
    assert ff.uniform_negatives(y, draws, 10).tolist() == [1, 0, 9, 8]


def test_hybrid_equals_a_reference_of_scipy():
    """Mask: six blurs with [1/4, 1/2, 1/4] along both axes, nothing outside, cut at 1/2."""
    rng = np.random.default_rng(0)
    x, noise = rng.random((4, 3, 9, 8)), rng.random((4, 1, 9, 8))
    blurred = noise
    for _ in range(6):
        for axis in (2, 3):
            blurred = scipy.ndimage.convolve1d(blurred, [0.25, 0.5, 0.25], axis=axis, mode="constant")
    mask = blurred > 0.5
    expected = np.where(mask, x, np.roll(x, 1, axis=0))
    np.testing.assert_array_equal(ff.hybrid(torch.from_numpy(x), torch.from_numpy(noise)).numpy(), expected)


def test_hybrid_pixels_come_from_the_image_or_its_neighbour():
    x = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 12, 12)
    mixed = ff.hybrid(x, torch.rand(3, 1, 12, 12))
    for i in range(3):
        assert set(mixed[i].unique().tolist()) <= {float(i), float((i - 1) % 3)}


def test_overlay_replaces_the_first_values_of_the_flattened_sample():
    x = torch.arange(24.0).view(2, 1, 3, 4)
    label = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    out = ff.overlay(x, label).flatten(1)
    assert out[:, :5].equal(label)
    assert out[:, 5:].equal(x.flatten(1)[:, 5:])


def test_overlay_leaves_its_input_alone():
    x = torch.ones(2, 6)
    ff.overlay(x, torch.zeros(3))
    assert x.equal(torch.ones(2, 6))


def test_rms_normalise_gives_every_sample_mean_square_one():
    """But for the 1e-8 beside the root mean square."""
    h = torch.rand(4, 3, 4, 4, dtype=torch.float64) * torch.tensor([0.1, 1, 10, 1e3]).view(4, 1, 1, 1)
    rms = h.square().mean((1, 2, 3)).sqrt()
    squares = ff.rms_normalise(h).square().mean((1, 2, 3))
    assert torch.allclose(squares, (rms / (rms + 1e-8)) ** 2, rtol=1e-12, atol=0)


def test_rms_normalise_of_silence_is_silence():
    assert ff.rms_normalise(torch.zeros(2, 7)).equal(torch.zeros(2, 7))


@pytest.mark.parametrize(("reduction", "expected"), [("sum", [25.0, 8.0]), ("mean", [12.5, 4.0])])
def test_goodness_is_the_sum_or_mean_of_squares(reduction: str, expected: list[float]):
    assert ff.goodness(torch.tensor([[3.0, 4.0], [2.0, -2.0]]), reduction).tolist() == expected


def test_goodness_of_half_precision_does_not_overflow():
    """2000 units of 10: 200,000 is beyond float16."""
    assert ff.goodness(torch.full((1, 2000), 10.0, dtype=torch.float16), "sum").item() == 200_000


@pytest.mark.parametrize(
    ("reduction", "theta", "temperature", "expected"),
    [("sum", None, 1.0, 8 - 2), ("mean", None, 1.0, 4 - 2), ("sum", 3.0, 2.0, (8 - 3) / 2), ("mean", 1.0, 0.5, 6)],
)
def test_logit_is_goodness_less_theta_over_temperature(reduction, theta, temperature, expected):
    """theta is by default the layer's width for the sum, 2 for the mean."""
    assert ff.logits(torch.tensor([[2.0, 2.0]]), reduction, theta, temperature).item() == expected


def test_goodness_loss_wants_the_first_half_high_and_the_second_low():
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0], dtype=torch.float64)
    by_hand = [math.log1p(math.exp(s)) for s in (-2.0, 1.0, 0.5, -3.0)]
    assert ff.goodness_loss(logits).item() == pytest.approx(sum(by_hand) / 4, abs=1e-15)


def test_goodness_loss_is_finite_where_a_log_of_a_sigmoid_is_not():
    """The sum form starts at logits near -n/2."""
    assert ff.goodness_loss(torch.tensor([-500.0, 500.0])).item() == 500.0


def test_through_gives_the_pre_activation_of_a_block_that_ends_in_a_relu():
    block = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    z, a = ff.through(block, x)
    assert z.equal(block[1](x))
    assert a.equal(block(x))


def test_through_gives_the_output_twice_for_any_other_block():
    block = nn.Linear(3, 4)
    x = torch.randn(2, 3)
    z, a = ff.through(block, x)
    assert z.equal(block(x))
    assert z is a
