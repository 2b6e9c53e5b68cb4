"""Tables with named columns: features equal to pandas' for any table, and settings of the readers."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpfree.data import as_data, describe, load
from bpfree.data.tables.columns import useless
from bpfree.data.tables.layout import Column, as_json, features, further_rows, lay_out
from bpfree.errors import InputError

WORDS = st.sampled_from(["red", "green", "blue", "a,b", 'say "x"', "ß", "null island"])


@st.composite
def tables(draw) -> pd.DataFrame:
    """A table of numbers, booleans and categories, without gaps, in which every column varies."""
    rows = draw(st.integers(4, 30))
    columns = {}
    for k, kind in enumerate(
        draw(st.lists(st.sampled_from(["number", "whole", "flag", "word"]), min_size=1, max_size=5))
    ):
        values = {
            "number": st.floats(-1e6, 1e6, width=32).filter(lambda v: v != int(v)),
            "whole": st.integers(-1000, 1000).map(lambda v: 2 * v),
            "flag": st.booleans(),
            "word": WORDS,
        }[kind]
        drawn = draw(st.lists(values, min_size=rows, max_size=rows).filter(lambda vs: len(set(vs)) > 1))
        columns[f"{kind} {k}"] = drawn
    return pd.DataFrame(columns)


@given(tables())
@settings(deadline=None, max_examples=60)
def test_features_equal_those_of_pandas(frame: pd.DataFrame):
    columns, _ = lay_out(frame, "refuse")
    kept = frame[[column.name for column in columns]]
    words = [name for name in kept if name.startswith("word")]
    expected = [pd.get_dummies(kept[[name]]) if name in words else kept[[name]] for name in kept]
    got, notes = features(frame, columns, "the table")
    np.testing.assert_array_equal(got, np.hstack([part.to_numpy(dtype=float) for part in expected]))
    assert notes == []


@given(tables())
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_csv_file_is_read_as_the_table_that_it_was_written_from(tmp_path, frame: pd.DataFrame):
    frame = frame.assign(label=np.where(np.arange(len(frame)) % 2, "p", "q"))
    frame.to_csv(tmp_path / "t.csv", index=False)
    whole = {"normalize": "none", "val_fraction": 0.5}
    expected = as_data({"train": frame, "test": frame}, whole)
    got = load(f"csv:{tmp_path / 't.csv'}", {**whole, "test": str(tmp_path / "t.csv")})
    first, second = (next(part.test.batches(99)).x.numpy() for part in (expected, got))
    np.testing.assert_allclose(second, first, rtol=1e-6)
    assert got.spec.sha256 == expected.spec.sha256


@given(tables())
@settings(deadline=None, max_examples=20)
def test_the_layout_of_the_record_reads_the_same_rows_again(frame: pd.DataFrame):
    columns, _ = lay_out(frame, "refuse")
    again, _ = further_rows(frame, as_json(columns))
    np.testing.assert_array_equal(again, features(frame, columns, "x")[0])


def test_two_doors_one_hash(tmp_path):
    """A frame, its CSV and its Parquet file, and the arrays that pandas makes of it are the same data."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(40), "b": rng.choice(["u", "v"], 40), "label": np.arange(40) % 3})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    x = pd.get_dummies(frame[["a", "b"]]).to_numpy(dtype=float)
    doors = [as_data(frame), load(f"csv:{tmp_path / 't.csv'}"), load(f"parquet:{tmp_path / 't.parquet'}")]
    doors += [as_data((frame[["a", "b"]], frame["label"])), as_data((x, frame["label"].to_numpy()))]
    assert len({data.spec.sha256 for data in doors}) == 1
    first = next(doors[0].train.batches(40)).x
    assert all(bool((next(data.train.batches(40)).x == first).all()) for data in doors)


def test_a_column_is_features_for_its_categories_and_its_gaps():
    assert [Column("a").features, Column("a", missing=True).features, Column("a", ("x", "y"), True).features] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("values", "name", "levels", "reason"),
    [
        (np.arange(12), "n", 0, "counts the rows"),
        (np.arange(12) + 7.0, "n", 0, "counts the rows"),
        (np.arange(12)[::-1] * 3, "customer_id", 0, "an identifier"),
        (np.arange(12)[::-1] * 3, "width", 0, ""),
        (np.ones(12), "n", 0, "one value only"),
        (np.array([str(k) for k in range(60)], dtype=object), "n", 60, "60 different texts in 60 rows"),
        (np.array(["a", None], dtype=object), "n", 1, ""),
    ],
)
def test_useless_columns_are_left_out_for_a_reason(values, name: str, levels: int, reason: str):
    assert useless(values, name, levels) == reason


def test_too_many_categories_are_refused():
    with pytest.raises(InputError, match="column c holds 300 categories, at most 256"):
        useless(np.array([str(k % 300) for k in range(900)], dtype=object), "c", 300)


def test_missing_numbers_become_the_mean_of_the_training_part(tmp_path):
    """Split by hand: the test file has a gap where the training file has none in this row."""
    pd.DataFrame({"a": [1.0, None, 3.5, 8.25] * 6, "label": list("pq") * 12}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"a": [None, 2.0], "label": list("pq")}).to_csv(tmp_path / "b.csv", index=False)
    values = {"missing": "mean", "normalize": "none", "test": "b.csv", "data_dir": str(tmp_path)}
    data = load("csv:a.csv", values)
    mean = np.nanmean(data.train.rows.rows.rows.x.numpy()[data.train.rows.index, 0])
    np.testing.assert_allclose(next(data.test.batches(2)).x.numpy(), [[mean, 1], [2, 0]], rtol=1e-6)
    assert data.table["fill"][0] == pytest.approx(mean)


def test_a_table_is_described_with_what_was_done_to_it(tmp_path):
    frame = pd.DataFrame({"n": range(30), "a": np.arange(30) ** 2, "label": ["p"] * 20 + ["q"] * 10})
    frame.to_csv(tmp_path / "t.csv", index=False)
    about = describe(f"csv:{tmp_path / 't.csv'}")
    assert about["majority_share"] == pytest.approx(17 / 25)  # of 25 training rows 17 are p: stratified, 5 held out
    assert [note.partition(":")[0] for note in about["notes"]] == ["target", "columns left out", "y", "features"]


def test_numbers_to_predict_are_described(tmp_path):
    pd.DataFrame({"a": np.arange(30) ** 2, "y": np.arange(30) / 7}).to_csv(tmp_path / "t.csv", index=False)
    about = describe(f"csv:{tmp_path / 't.csv'}")
    assert (about["task"], about["classes"]) == ("regression", 0)
    assert about["target_mean"] == pytest.approx([np.mean(np.arange(30) / 7)])


@pytest.mark.parametrize(
    ("kind", "package"), [("csv", "pandas"), ("parquet", "pyarrow"), ("svmlight", "sklearn.datasets")]
)
def test_a_package_that_is_not_there_is_named_with_its_command(tmp_path, monkeypatch, kind: str, package: str):
    (tmp_path / "t").write_text("a,b\n1,2\n")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'needs {package.partition(".")[0]}: pip install "bpfree\[tables\]"'):
        load(f"{kind}:{tmp_path / 't'}")


def test_a_setting_about_columns_is_refused_without_columns():
    with pytest.raises(InputError, match="target names a column, and these data have no named columns"):
        as_data((np.ones((9, 2)), np.arange(9) % 2), {"target": "y"})
