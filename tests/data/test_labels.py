"""Labels of every kind become classes 0..C-1, with their texts kept and every conversion told."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import LabelEncoder

from bpfree.data.labels import read_labels
from bpfree.errors import InputError

COLUMN = [2, 0, 1, 1, 0]
SAME = {
    "list": COLUMN,
    "tuple": tuple(COLUMN),
    "int64": torch.tensor(COLUMN),
    "uint8": np.array(COLUMN, np.uint8),
    "big-endian": np.array(COLUMN, ">i4"),
    "uint64": np.array(COLUMN, np.uint64),
    "objects": np.array(COLUMN, object),
    "numpy scalars": [np.int32(c) for c in COLUMN],
    "column": np.array(COLUMN)[:, None],
    "float32": torch.tensor(COLUMN).float(),
    "bfloat16": torch.tensor(COLUMN).bfloat16(),
    "float objects": np.array([2.0, 0, 1, 1, 0], object),
    "text": [str(c) for c in COLUMN],
    "text of any length": np.array([str(c) for c in COLUMN], np.dtypes.StringDType()),
    "bytes": np.array([str(c).encode() for c in COLUMN]),
    "one-hot": np.eye(3)[COLUMN],
    "one-hot booleans": torch.eye(3).bool()[COLUMN],
}


@pytest.mark.parametrize("kind", SAME)
def test_the_numbers_0_to_c_are_themselves_in_every_container(kind):
    labels = read_labels(SAME[kind], "y")
    assert labels.y.tolist() == COLUMN
    assert labels.y.dtype == torch.int64
    assert labels.class_names is None
    assert labels.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["cat", "ant", "cat"], ("ant", "cat")),
        (["10", "9", "10"], ("9", "10")),
        (["10", "09", "10"], ("09", "10")),
        ([True, False, True], ("False", "True")),
        (np.array([True, False, True]), ("False", "True")),
        ([-1, 1, -1], ("-1", "1")),
        ([1.0, 7.0, 1.0], ("1", "7")),
        ([1, 2, 3, 3], ("1", "2", "3")),
        (np.eye(3)[[0, 2, 2]], ("0", "2")),
        ([2**60, 2**60 + 1], (str(2**60), str(2**60 + 1))),
    ],
    ids=str,
)
def test_other_labels_keep_their_text(values, names):
    labels = read_labels(values, "y")
    assert labels.class_names == names
    assert f"y: {len(names)} classes, in this order: {', '.join(names)}" in labels.notes


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([0.0, 1.0], "y is float64: its whole numbers are read as classes"),
        (np.eye(2), "y is one-hot over 2 columns: a row's label is its column"),
    ],
)
def test_a_conversion_is_told(values, note):
    assert note in read_labels(values, "y").notes


def test_plain_numbers_need_no_note():
    assert read_labels(COLUMN, "y").notes == ()


def test_labels_of_pandas_are_read():
    pandas = pytest.importorskip("pandas")
    text = pandas.Series(["b", "a", "b"])
    for values in (text, text.astype(object), text.astype("category"), pandas.get_dummies(text)):
        labels = read_labels(values, "y")
        assert [labels.classes[c] for c in labels.y.tolist()] == text.tolist()
    assert read_labels(pandas.Series([0, 1, 1], dtype="Int64"), "y").y.tolist() == [0, 1, 1]
    for values in (text.where([True, False, True]), pandas.Series([0, None, 1], dtype="Int64")):
        with pytest.raises(InputError, match="y row 1 is missing"):
            read_labels(values, "y")


@pytest.mark.parametrize("later", [["b", "a"], np.array(["b", "a"], object)])
def test_other_rows_are_read_with_the_classes_of_the_training_rows(later):
    labels = read_labels(["c", "a", "b", "b"], "y")
    assert read_labels(later, "y_test", labels.classes).y.tolist() == [1, 0]


def test_a_test_part_may_lack_classes_and_have_another_type():
    labels = read_labels([1, 2, 3, 3], "y")
    assert read_labels([3.0, 3.0], "y_test", labels.classes).y.tolist() == [2, 2]
    assert read_labels(["3", "1"], "y_test", labels.classes).y.tolist() == [2, 0]


REFUSED = {
    "missing in floats": ([0.0, float("nan"), 1.0], "y row 1 is missing"),
    "missing in objects": (np.array(["a", None, "b"], object), "y row 1 is missing"),
    "masked": (np.ma.array([0, 1, 0], mask=[0, 0, 1]), "y row 2 is missing"),
    "fractions": ([0.0, 0.5, 1.0], "y row 1 is 0.5: expected class numbers or names"),
    "infinity": ([0.0, 0.5, float("inf")], "y row 2 is infinite: leave such rows out"),
    "text beside numbers": ([1, "a"], "y holds int and str: expected labels of one kind"),
    "booleans beside numbers": (np.array([True, 2], object), "y holds bool and int"),
    "dates": (np.array(["2020-01-01", "2021-01-01"], "M8[D]"), "y is an array of datetime64[D]"),
    "complex": ([1j, 2j], "y is an array of complex128"),
    "one class": (["a", "a"], "y holds one class only, a: expected at least two"),
    "several ones": ([[1, 1], [1, 0]], "one-hot rows (a single 1 each)"),
    "soft labels": ([[0.5, 0.5], [1.0, 0.0]], "one-hot rows"),
    "no rows": ([], "y has shape (0,)"),
    "a number": (3, "y has shape ()"),
    "ragged": ([[1], [1, 2]], "rows of different shapes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_labels_that_are_no_classes_are_refused_in_one_line(kind):
    values, message = REFUSED[kind]
    with pytest.raises(InputError) as error:
        read_labels(values, "y")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_label_that_no_training_row_has_is_named():
    with pytest.raises(InputError, match="y_test holds label z, which no training row has: expected a, b"):
        read_labels(["a", "z"], "y_test", ("a", "b"))


@given(st.lists(st.integers(-5, 12) | st.integers(-(2**62), 2**62), min_size=2).filter(lambda y: len(set(y)) > 1))
def test_integers_are_numbered_by_their_order(values):
    """By plain Python: the class of a label is its rank among the distinct labels."""
    ranks = {value: rank for rank, value in enumerate(sorted(set(values)))}
    labels = read_labels(values, "y")
    assert labels.y.tolist() == [ranks[value] for value in values]
    assert [int(text) for text in labels.classes] == sorted(set(values))


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4), min_size=2))
def test_text_comes_back_as_it_was(values):
    if len(set(values)) > 1:
        labels = read_labels(values, "y")
        assert [labels.classes[c] for c in labels.y.tolist()] == values


SETS = st.one_of(
    *(arrays.arrays(kind, st.integers(2, 20)) for kind in ("int8", "uint8", "int64", "bool")),
    arrays.arrays("int16", st.integers(2, 20)).map(lambda y: y.astype(np.float64)),
    st.lists(st.sampled_from(["red", "green", "Blue", "b-1", "é", " x"]), min_size=2, max_size=20),
)


@given(SETS.filter(lambda y: len(set(y)) > 1))
def test_classes_are_those_of_the_label_encoder(values):
    """By scikit-learn, in every container."""
    encoder = LabelEncoder()
    expected = encoder.fit_transform(np.asarray(values)).tolist()
    for held in (values, list(values), np.asarray(values), pd.Series(values), np.asarray(values)[:, None]):
        labels = read_labels(held, "y")
        assert labels.y.tolist() == expected
        names = [text if isinstance(text, str) else str(int(text) if isinstance(text, float) else text)
                 for text in encoder.classes_.tolist()]  # fmt: skip
        assert list(labels.classes) == names


@given(arrays.arrays("int64", st.integers(2, 30), elements=st.integers(0, 4)).filter(lambda y: len(set(y)) > 1))
def test_one_hot_rows_are_the_columns_that_they_name(y):
    rows = np.eye(5, dtype=np.float32)[y]
    present, expected = np.unique(y, return_inverse=True)
    labels = read_labels(rows, "y")
    assert (labels.y.tolist(), labels.classes) == (expected.tolist(), tuple(map(str, present)))
