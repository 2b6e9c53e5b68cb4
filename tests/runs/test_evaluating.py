"""Evaluation of a run on data by name: which test part it is, and in which units its metrics are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics
from sklearn.preprocessing import StandardScaler

import bpfree
from bpfree import InputError
from bpfree.data import as_data
from bpfree.runs.model import evaluate

SMALL = {"epochs": 2, "hidden": (4,), "batch_size": 16, "meter": "none", "device": "cpu", "threads": 1}


def table(seed: int, rows: int = 40) -> pd.DataFrame:
    """Numbers to predict around 100, with a deviation of about 17."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "target": x @ [7.0, 14.0, -7.0] + 100})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The record of a run on ``train.csv`` and ``test.csv`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("train", "test", "other", "other_test")):
        table(seed).to_csv(f"{name}.csv", index=False)
    return bpfree.train("backprop", "csv:train.csv", test="test.csv", out=tmp_path / "run", **SMALL)


@pytest.mark.parametrize("of", ["training", "evaluation"])
def test_metrics_of_numbers_are_in_their_units(run: dict, of: str):
    model = bpfree.load("run")
    frame = table(1)
    guess = model.predict(frame.drop(columns="target")).numpy()[:, 0]
    values = run["extensions"]["metrics"] if of == "training" else evaluate(model, "csv:train.csv", {})["metrics"]
    close = {"rel": 1e-6}  # of single precision, in which the training holds its targets
    assert values["r2"] == pytest.approx(metrics.r2_score(frame["target"], guess), **close)
    assert values["mse"] == pytest.approx(metrics.mean_squared_error(frame["target"], guess), **close)
    assert values["mae"] == pytest.approx(metrics.mean_absolute_error(frame["target"], guess), **close)


def test_own_data_bring_their_test_part_under_any_path(run: dict, tmp_path: Path, monkeypatch):
    model = bpfree.load("run")
    expected = evaluate(model, "csv:train.csv", {})
    assert (expected["rows"], expected["test"]) == (40, pytest.approx(run["result"]["test"], rel=1e-6))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for name in (f"csv:{tmp_path / 'train.csv'}", "csv:../train.csv"):
        assert evaluate(model, name, {})["sha256"] == expected["sha256"]


def test_other_data_do_not_borrow_the_test_part(run: dict, tmp_path: Path, monkeypatch):
    model = bpfree.load("run")
    with pytest.raises(InputError, match=r"csv:other\.csv has no test part .*: name its file with --set test=FILE$"):
        evaluate(model, "csv:other.csv", {})
    values = evaluate(model, "csv:other.csv", {"test": "other_test.csv"})
    guess = model.predict(table(3).drop(columns="target")).numpy()[:, 0]
    assert values["metrics"]["mse"] == pytest.approx(metrics.mean_squared_error(table(3)["target"], guess), rel=1e-6)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    table(2).to_csv("train.csv", index=False)  # of the same name as the training's
    with pytest.raises(InputError, match="no test part"):
        evaluate(model, "csv:train.csv", {})


def test_the_default_of_a_table_is_that_of_a_standard_scaler():
    x = table(0).drop(columns="target").to_numpy() * [1, 100, 0.01] + 5
    data = as_data((x, np.arange(len(x)) % 2))
    train = data.train.rows.gather(torch.arange(len(data.train))).numpy()
    (batch,) = data.train.batches(len(train))
    np.testing.assert_allclose(batch.x.numpy(), StandardScaler().fit_transform(train), rtol=1e-5, atol=1e-6)
