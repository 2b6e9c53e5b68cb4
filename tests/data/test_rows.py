"""Normalisation and its statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfree.data import as_data
from bpfree.data.rows import ArrayRows, Filled, means, standard, statistics, unit
from bpfree.errors import InputError


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


def all_of(source):
    return next(source.batches(len(source))).x


TABLES = {
    "floats": lambda x: x.astype(np.float32),
    "doubles": lambda x: x,
    "integers": lambda x: (100 * x).astype(np.int64),
    "short integers": lambda x: (100 * x).astype(np.int16),
    "booleans": lambda x: x > 0,
    "bytes that are no pixels": lambda x: (np.abs(x) % 100).astype(np.uint8),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_standardised_by_the_training_part(kind):
    """Through the door of arrays, without a setting; expected values from numpy in float64."""
    x = TABLES[kind](np.random.default_rng(0).standard_normal((90, 4)) * [1, 10, 100, 1000] + [0, 5, 50, 500])
    data = as_data((x, np.arange(90) % 3, x[:9], np.arange(9) % 3))
    raw = data.train.rows.gather(torch.arange(75)).numpy().astype(np.float64)
    std = np.where(raw.std(0) == 0, 1, raw.std(0))
    np.testing.assert_allclose(all_of(data.train).numpy(), (raw - raw.mean(0)) / std, atol=2e-5)
    np.testing.assert_allclose(all_of(data.test).numpy(), (x[:9].astype(np.float64) - raw.mean(0)) / std, atol=2e-5)
    assert "mean 0, deviation 1 of the training part" in data.notes[-1]


def test_normalize_none_leaves_a_table_as_it_is():
    x = np.random.default_rng(0).integers(-5, 500, (60, 3))
    data = as_data((x, np.arange(60) % 2, x, np.arange(60) % 2), {"normalize": "none"})
    np.testing.assert_array_equal(all_of(data.test).numpy(), x.astype(np.float32))
    assert data.notes == ()


def test_small_differences_of_large_numbers_survive():
    """Single precision holds neither 1.7e9 + 1 nor anything else between 1.7e9 and 1.7e9 + 128."""
    x = 1_700_000_000 + np.arange(60)[:, None] % 2
    data = as_data((x, np.arange(60) % 2))
    values = all_of(data.train)
    assert values.unique().tolist() == pytest.approx([-1, 1])


@pytest.mark.parametrize(("largest", "expected"), [(255, "read as pixels"), (127, "read as features")])
def test_bytes_of_a_table_are_told_apart(largest, expected):
    x = np.random.default_rng(0).integers(0, largest, (60, 3), dtype=np.uint8)
    x[0] = largest
    data = as_data((x, np.arange(60) % 2, x, np.arange(60) % 2))
    assert expected in data.notes[0]
    scale = 255 if largest == 255 else None
    values = all_of(data.test).double().numpy()
    train = data.train.rows.gather(torch.arange(50)).double().numpy()
    want = x / scale if scale else (x - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(values, want, atol=1e-5)


def test_pictures_are_not_standardised():
    x = torch.rand(60, 1, 4, 4)
    data = as_data((x, torch.arange(60) % 2, x, torch.arange(60) % 2))
    assert torch.equal(all_of(data.test), x)


def test_whole_numbers_that_no_float_holds_are_refused():
    with pytest.raises(InputError, match="whole numbers beyond 2"):
        as_data((np.arange(60)[:, None] + 2**60, np.arange(60) % 2))


def test_masked_values_are_not_read_as_values():
    x = np.ma.masked_equal(np.arange(120.0).reshape(60, 2), 7)
    with pytest.raises(InputError, match="x is masked"):
        as_data((x, np.arange(60) % 2))


def test_missing_values_are_filled_with_the_mean_of_the_others():
    x = torch.tensor([[1.0, torch.nan, torch.nan], [3.0, 5.0, torch.nan]])
    rows = ArrayRows(x)
    fill = means(rows)
    assert fill.tolist() == [2, 5, 0]
    assert Filled(rows, fill).gather(torch.tensor([1, 0])).tolist() == [[3, 5, 0], [1, 5, 0]]
