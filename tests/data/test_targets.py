"""Targets: classes or numbers, by the values or by the task."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bpfree.data import as_data
from bpfree.data.targets import read_more_targets, read_targets
from bpfree.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.random((60, 3))
CLASSES = {
    "integers": np.arange(60) % 3,
    "booleans": np.arange(60) % 2 == 0,
    "names": np.array(["a", "b", "c"])[np.arange(60) % 3],
    "whole floats": np.arange(60) % 3 * 1.0,
    "integers of many values": np.arange(60) % 30,
    "one-hot floats": np.eye(3)[np.arange(60) % 3],
    "a categorical series": pd.Series(np.arange(60) % 3).astype("category"),
}
NUMBERS = {
    "floats": RNG.random(60),
    "a column of floats": RNG.random((60, 1)),
    "whole floats of many values": np.arange(60) * 1.0,
    "two floats a row": RNG.random((60, 2)),
    "a float tensor": torch.rand(60),
    "a list with one fraction": [*range(59), 0.5],
}


@pytest.mark.parametrize("case", CLASSES)
def test_labels_are_classes(case: str):
    targets = read_targets(CLASSES[case], "y")
    assert targets.y.dtype == torch.int64
    assert len(targets.classes) == len(np.unique(np.asarray(CLASSES[case]), axis=0))


@pytest.mark.parametrize("case", NUMBERS)
def test_other_floats_are_numbers_to_predict(case: str):
    targets = read_targets(NUMBERS[case], "y")
    expected = np.asarray(NUMBERS[case], np.float64).reshape(60, -1)
    np.testing.assert_array_equal(targets.y.numpy(), expected)
    assert "the task is regression" in targets.notes[0]


@given(arrays.arrays(np.int64, st.integers(1, 40), elements=st.integers(-(2**50), 2**50)))
def test_regression_takes_integers_as_numbers(y: np.ndarray):
    np.testing.assert_array_equal(read_targets(y, "y", "regression").y.numpy()[:, 0], y.astype(np.float64))


def test_many_integers_of_few_rows_each_are_told():
    targets = read_targets(np.arange(60) % 30, "y")
    assert targets.notes == ("y is read as 30 classes: --task regression predicts numbers",)


def test_whole_floats_of_few_values_are_told():
    assert "y as numbers to predict: --task regression" in read_targets(np.arange(60) % 3 * 1.0, "y").notes


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (["a", "b"] * 30, "regression", "no numbers: the task regression predicts numbers"),
        (np.r_[np.nan, RNG.random(59)], "regression", "y row 0 is missing or infinite"),
        (np.r_[np.nan, RNG.random(59)], "auto", "y row 0 is missing"),
        (RNG.random(60), "classification", "expected class numbers or names"),
        (RNG.random((60, 2, 2)), "regression", "expected one or more numbers a row"),
    ],
)
def test_wrong_targets_are_refused_in_one_line(y, task: str, message: str):
    with pytest.raises(InputError, match=message):
        read_targets(y, "y", task)


def test_the_test_part_has_as_many_numbers():
    with pytest.raises(InputError, match=r"y_test has 1 target\(s\) a row but the training part 2"):
        read_more_targets(RNG.random(8), "y_test", read_targets(RNG.random((60, 2)), "y"))


def test_numbers_are_learnt_on_the_scale_of_the_training_part():
    """Mean 0 and deviation 1 of the training rows alone; offset and scale bring all rows back."""
    y = 1e6 + 50 * RNG.standard_normal(60)
    data = as_data((X, y, X[:8], y[:8] + 1e3))
    offset, scale = (constant.item() for constant in data.target)
    learnt = next(data.train.batches(60)).y.double()
    assert learnt.shape == (50, 1)
    assert learnt.mean().item() == pytest.approx(0, abs=1e-6)
    assert learnt.std(correction=0).item() == pytest.approx(1)
    parts = (data.train, data.val)
    back = torch.cat([source.y.double()[:, 0] for source in parts]) * scale + offset
    np.testing.assert_allclose(np.sort(back.numpy()), np.sort(y), rtol=1e-8)
    np.testing.assert_allclose(data.test.y[:, 0].double().numpy(), (y[:8] + 1e3 - offset) / scale, rtol=1e-5)


def test_a_regression_says_so():
    spec = as_data((X, RNG.random((60, 2)))).spec
    assert (spec.task, spec.metric, spec.maximize) == ("regression", "r2", True)
    assert (spec.classes, spec.targets, spec.outputs, spec.class_names) == (0, 2, (2,), None)


def test_rows_of_a_regression_are_split_without_classes():
    data = as_data((X, X[:, 0]), {"val_fraction": 0.25, "subset": 10})
    assert (len(data.train), len(data.val)) == (10, 15)


def test_a_constant_target_keeps_its_scale():
    data = as_data((X, np.full(60, 3.25)), {"task": "regression"})
    assert torch.equal(data.train.y, torch.zeros(50, 1))


def test_reconstruction_of_a_table_with_numbers_beside_it_needs_no_target():
    data = as_data((X, X[:, 0]), {"task": "reconstruction"})
    assert (data.spec.outputs, data.spec.targets, data.target) == ((3,), 0, None)
