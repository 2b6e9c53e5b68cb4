"""A graph that a function of the user's file makes, in training, prediction, resuming and description."""

from pathlib import Path

import numpy as np
import pytest
import torch

import bpfree
from bpfree.data import reader_of
from bpfree.runs.model import evaluate

OWN = """
import numpy as np

CALLS = []

def mapping():
    CALLS.append(1)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    ends = rng.integers(0, 60, (2, 150))
    return {"x": np.eye(3)[y] * 4, "edge_index": np.concatenate([ends, ends[::-1]], 1), "y": y}

def geometric():
    import torch
    from torch_geometric.data import Data
    return Data(**{key: torch.as_tensor(value) for key, value in mapping().items()})
"""
SMALL = {"epochs": 3, "hidden": (4,), "meter": "none", "device": "cpu", "threads": 1}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("function", ["mapping", "geometric"])
def test_settings_of_graphs_count_and_the_run_comes_back(own: Path, tmp_path: Path, function: str):
    pytest.importorskip("torch_geometric")
    name = f"{own}:{function}"
    records = [
        bpfree.train("backprop", name, fold=fold, features="raw", out=tmp_path / str(fold), **SMALL) for fold in (1, 2)
    ]
    assert [record["config"]["net"] for record in records] == ["gnn", "gnn"]
    assert records[0]["model_sha256"] != records[1]["model_sha256"]
    data = reader_of(name).load({"fold": 2, "features": "raw"})
    assert float(data.test.x.max()) == 4  # not divided by their sum
    model = bpfree.load(tmp_path / "2")
    values = evaluate(model, name, {})
    right = model.predict(data.test).argmax(1) == data.test.y
    assert values["test"] == records[1]["result"]["test"] == right.double().mean().item()
    assert reader_of(name).describe({"fold": 2})["nodes"] == 60


class Stop:
    def on_epoch(self, loop) -> None:
        if loop.cursor.epochs == 1:
            loop.stop("enough")


def test_a_run_on_a_graph_resumes(own: Path, tmp_path: Path):
    name = f"{own}:mapping"
    whole = bpfree.train("backprop", name, fold=2, out=tmp_path / "whole", **SMALL)
    bpfree.train("backprop", name, fold=2, out=tmp_path / "run", callbacks=[Stop()], **SMALL)
    again = bpfree.train(resume=tmp_path / "run", meter="none")
    assert (again["status"], again["model_sha256"]) == ("finished", whole["model_sha256"])


def test_the_function_is_called_once_a_run_and_not_to_predict(own: Path, tmp_path: Path):
    name = f"{own}:mapping"
    reader_of(name)
    calls = reader_of(name).make.function.__globals__["CALLS"]
    assert len(calls) == 1
    bpfree.train("backprop", name, out=tmp_path / "run", **SMALL)
    assert len(calls) == 1
    graph = bpfree.data.load(name).test
    assert len(calls) == 2
    scores = bpfree.load(tmp_path / "run").predict(graph)
    assert len(calls) == 2
    own.unlink()
    assert torch.equal(bpfree.load(tmp_path / "run").predict(graph), scores)


def test_a_setting_of_tables_is_refused_on_a_graph(own: Path):
    with pytest.raises(bpfree.InputError, match="unknown setting 'normalize'"):
        bpfree.train("backprop", f"{own}:mapping", normalize="none", **SMALL)


def test_a_model_of_a_graph_is_evaluated_on_graphs_alone(own: Path, tmp_path: Path):
    np.savez(tmp_path / "t.npz", x_train=np.eye(6), y_train=np.arange(6) % 2, x_test=np.eye(6), y_test=np.arange(6) % 2)
    bpfree.train("backprop", f"{own}:mapping", out=tmp_path / "graph", **SMALL)
    bpfree.train("backprop", f"npz:{tmp_path / 't.npz'}", val_fraction=0.34, out=tmp_path / "table", **SMALL)
    with pytest.raises(bpfree.InputError, match="is no graph, and this model was trained on one"):
        evaluate(bpfree.load(tmp_path / "graph"), f"npz:{tmp_path / 't.npz'}", {})
    with pytest.raises(bpfree.InputError, match="is a graph, and this model was trained on examples of their own"):
        evaluate(bpfree.load(tmp_path / "table"), f"{own}:mapping", {})
