"""Splits: a partition, stratified, seeded."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bpfree.data.splits import split, subset
from bpfree.errors import InputError


@st.composite
def labels(draw):
    """Shuffled labels of 2 to 6 classes with 2 to 60 rows each."""
    counts = draw(st.lists(st.integers(2, 60), min_size=2, max_size=6))
    y = [c for c, n in enumerate(counts) for _ in range(n)]
    return torch.tensor(draw(st.permutations(y)))


def feasible(y, fraction):
    held = round(len(y) * fraction)
    return held >= int(y.max()) + 1 <= len(y) - held


fractions = st.sampled_from([0.1, 1 / 6, 0.25, 0.5, 0.7])
seeds = st.integers(0, 2**31)


@given(labels(), fractions, seeds)
def test_split_is_a_partition(y, fraction, seed):
    if feasible(y, fraction):
        kept, held = split(y, fraction, seed)
        assert sorted(kept.tolist() + held.tolist()) == list(range(len(y)))


@given(labels(), fractions, seeds)
def test_each_class_is_held_out_in_proportion_within_one_row(y, fraction, seed):
    if feasible(y, fraction):
        _, held = split(y, fraction, seed)
        share = Fraction(round(len(y) * fraction), len(y))
        for c in range(int(y.max()) + 1):
            assert abs(int((y[held] == c).sum()) - share * int((y == c).sum())) <= 1


@given(labels(), fractions, seeds)
def test_every_class_is_in_both_parts(y, fraction, seed):
    if feasible(y, fraction):
        for part in split(y, fraction, seed):
            assert set(y[part].tolist()) == set(y.tolist())


@given(labels(), fractions, seeds)
def test_same_seed_same_split(y, fraction, seed):
    if feasible(y, fraction):
        first, second = split(y, fraction, seed), split(y, fraction, seed)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_is_another_split():
    y = torch.arange(1000) % 10
    assert not torch.equal(split(y, 0.2, 0)[1], split(y, 0.2, 1)[1])


def test_total_is_the_rounded_fraction_when_classes_are_large():
    y = torch.arange(1000) % 7
    assert len(split(y, 1 / 6, 3)[1]) == round(1000 / 6)


def test_too_small_a_fraction_leaves_an_empty_validation_split():
    with pytest.raises(InputError, match="validation rows, fewer than the 10 classes"):
        split(torch.arange(100) % 10, 0.001, 0)


def test_more_validation_than_data_is_refused():
    with pytest.raises(InputError, match="training rows, fewer than the 10 classes"):
        split(torch.arange(100) % 10, 0.999, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(InputError, match="expected > 0, < 1"):
        split(torch.arange(100) % 10, fraction, 0)


def test_a_class_with_one_row_cannot_be_split():
    with pytest.raises(InputError, match=r"class 2 has 1 training row"):
        split(torch.tensor([0] * 50 + [1] * 50 + [2]), 0.2, 0)


@given(labels(), st.data(), seeds)
def test_a_subset_has_its_size_and_every_class(y, data, seed):
    rows = data.draw(st.integers(int(y.max()) + 1, len(y)))
    part = subset(y, rows, seed)
    assert len(set(part.tolist())) == rows
    assert set(y[part].tolist()) == set(y.tolist())


@given(st.integers(0, 500), seeds)
def test_subset_is_stratified_within_one_row(extra, seed):
    y = torch.tensor([0] * 100 + [1] * 200 + [2] * 400)
    rows = 100 + extra
    counts = torch.bincount(y[subset(y, rows, seed)])
    assert ((counts - rows * torch.tensor([1, 2, 4]) / 7).abs() <= 1).all()


@pytest.mark.parametrize("rows", [9, 101])
def test_subset_of_too_few_or_too_many_rows_is_refused(rows):
    with pytest.raises(InputError, match=r"expected between 10 .* and 100"):
        subset(torch.arange(100) % 10, rows, 0)


@given(st.lists(st.integers(2, 9), min_size=2, max_size=6), st.floats(1e-6, 1 - 1e-6), seeds)
def test_refusal_names_a_fraction_that_works(counts, fraction, seed):
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    if feasible(y, fraction):
        return
    with pytest.raises(InputError, match="as with --val-fraction ") as refused:
        split(y, fraction, seed)
    kept, held = split(y, float(str(refused.value).rpartition(" ")[2]), seed)
    assert set(y[kept].tolist()) == set(y[held].tolist()) == set(range(len(counts)))


def test_a_subset_of_numbers_is_not_asked_for_classes():
    with pytest.raises(InputError, match=r"expected between 1 and 60 \("):
        subset(torch.zeros(60, dtype=torch.int64), 70, 0)


def test_a_class_of_one_row_is_named():
    with pytest.raises(InputError, match="class eel has 1 training row: a validation split needs at least 2"):
        split(torch.tensor([0, 0, 0, 1]), 0.5, 0, ("cat", "eel"))
