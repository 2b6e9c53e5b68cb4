"""Normalisation and its statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfree.data import as_data
from bpfree.data.rows import ArrayRows, standard, statistics, unit


def test_bytes_become_0_to_1_exactly():
    rows = ArrayRows(torch.arange(256, dtype=torch.uint8)[:, None])
    np.testing.assert_array_equal(unit(rows)(rows.x)[:, 0].numpy(), np.arange(256, dtype=np.float32) / np.float32(255))


def test_floats_are_taken_as_they_are():
    rows = ArrayRows(torch.randn(7, 3))
    assert torch.equal(unit(rows)(rows.x.clone()), rows.x)


@given(st.integers(1, 30), st.integers(1, 4), st.booleans(), st.integers(0, 2**31))
@settings(deadline=None)
def test_statistics_equal_numpy(n, channels, is_bytes, seed):
    x = np.random.default_rng(seed).integers(0, 256, (n, channels, 3, 5)).astype(np.uint8 if is_bytes else np.float32)
    mean, std = statistics(ArrayRows(torch.from_numpy(x)))
    values = x.astype(np.float64) / (255 if is_bytes else 1)
    np.testing.assert_allclose(mean.numpy(), values.mean((0, 2, 3)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(std.numpy(), values.std((0, 2, 3)), rtol=1e-12, atol=1e-12)


def test_statistics_of_many_chunks_equal_numpy():
    x = torch.randn(3000, 1, 40, 40) + 1e3
    mean, std = statistics(ArrayRows(x))
    assert mean.item() == pytest.approx(x.double().mean().item(), rel=1e-12)
    assert std.item() == pytest.approx(x.double().std(correction=0).item(), rel=1e-9)


def test_features_have_statistics_of_their_own():
    x = torch.rand(50, 4) * torch.tensor([1.0, 10.0, 100.0, 1000.0])
    torch.testing.assert_close(standard(ArrayRows(x))(x.clone()).std(0, correction=0), torch.ones(4))


def test_a_constant_channel_stays_finite():
    x = torch.full((5, 2), 3.0)
    assert torch.equal(standard(ArrayRows(x))(x.clone()), torch.zeros(5, 2))


@pytest.mark.parametrize("value", [0.1, 0.3, 7.7, 1e8 + 0.1])
def test_rounding_does_not_make_a_channel_vary(value):
    """The mean of many equal numbers may differ from them in the last digit."""
    x = torch.full((500, 3), value, dtype=torch.float64)
    assert torch.equal(standard(ArrayRows(x)).scale, torch.ones(3, dtype=torch.float64))


def test_standard_uses_the_training_part_only():
    """Validation and test have other values; the training part alone has mean 0 and deviation 1."""
    x = torch.rand(600, 1, 4, 4)
    y = torch.arange(600) % 3
    data = as_data((x, y, x[:60] + 50, y[:60]), {"normalize": "standard"})
    train = next(data.train.to("cpu", 10).batches(600)).x.double()
    assert train.mean().item() == pytest.approx(0, abs=1e-6)
    assert train.std(correction=0).item() == pytest.approx(1)
    rows = data.train.rows.gather(torch.arange(500)).double()
    expected = (data.val.rows.gather(torch.arange(100)).double() - rows.mean()) / rows.std(correction=0)
    torch.testing.assert_close(next(data.val.batches(100)).x.double(), expected, rtol=1e-5, atol=1e-5)
