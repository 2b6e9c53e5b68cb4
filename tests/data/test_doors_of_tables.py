"""Two doors, one result: tables, graphs and spikes are the same from every kind of file and in memory."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small import loop_of, make, weights_hash
from torch.utils.data import TensorDataset

import bpfree.data
from bpfree.data import as_data

RNG = np.random.default_rng(0)
N, TRAIN, NODES = 60, 48, 30


def weights(door: Any, settings: Mapping[str, Any] | None = None, net: str = "mlp") -> tuple[str, str]:
    """Hashes of the data and of the weights after two epochs."""
    data = (bpfree.data.load if isinstance(door, str) else as_data)(door, settings)
    loop = loop_of(make("backprop", net=net, hidden=(4,), epochs=2, batch_size=16), data)
    loop.run()
    return data.spec.sha256, weights_hash(loop.trainer)


def in_file(folder: Path, body: str) -> str:
    """A file with a function, by its name as data."""
    name = f"own{len(list(folder.glob('*.py')))}.py"
    (folder / name).write_text(f"import numpy as np, pandas as pd\ndef load():\n    return {body}\n", encoding="utf-8")
    return f"{folder / name}:load"


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_a_table_is_the_same_through_every_door(tmp_path, target):
    x = RNG.integers(-500, 500, (N, 3)) / 8 * [1, 100, 0.01]
    y = np.arange(N) % 3 if target == "classes" else x @ [1.0, 0.5, 200.0]
    frame = pd.DataFrame({**{f"x{k}": x[:, k] for k in range(3)}, "target": y})
    frames = frame[:TRAIN], frame[TRAIN:]
    csv, test, parquet = (tmp_path / name for name in ("t.csv", "test.csv", "t.parquet"))
    for part, file in zip(frames, (csv, test), strict=True):
        part.to_csv(file, index=False)
        part.to_parquet(file.with_suffix(".parquet"))
    arrays = x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "t.npz", **dict(zip(names, arrays, strict=True)))
    tensors = [TensorDataset(*map(torch.from_numpy, arrays[k : k + 2])) for k in (0, 2)]
    by_file = in_file(tmp_path, f"pd.read_csv({str(csv)!r}), pd.read_csv({str(test)!r})")
    arrays_in_file = in_file(tmp_path, f"[np.load({str(tmp_path / 't.npz')!r})[name] for name in {names}]")
    expected = weights(arrays)
    doors = {
        "csv": (f"csv:{csv}", {"test": str(test)}),
        "parquet": (f"parquet:{parquet}", {"test": str(test.with_suffix(".parquet"))}),
        "DataFrames": (frames, None),
        "a DataFrame as x": ((frames[0].iloc[:, :3], arrays[1], frames[1].iloc[:, :3], arrays[3]), None),
        "npz": (f"npz:{tmp_path / 't.npz'}", None),
        "Datasets": (tuple(tensors), None),
        "DataFrames of FILE.py": (by_file, None),
        "arrays of FILE.py": (arrays_in_file, None),
    }
    assert {name: weights(*door) for name, door in doors.items()} == dict.fromkeys(doors, expected)


def test_a_graph_is_the_same_through_every_door(tmp_path):
    geometric = pytest.importorskip("torch_geometric.data")
    ring = np.arange(NODES), (np.arange(NODES) + 1) % NODES
    masks = {f"{part}_mask": np.arange(NODES) // 10 == k for k, part in enumerate(("train", "val", "test"))}
    graph = {
        "x": RNG.random((NODES, 5)).astype(np.float32),
        "edge_index": np.concatenate([ring, ring[::-1]], 1),
        "y": np.arange(NODES) % 3,
        **masks,
    }
    np.savez(tmp_path / "g.npz", **graph)
    adjacency = np.zeros((NODES, NODES))
    adjacency[tuple(graph["edge_index"])] = 1
    others = {"adj_matrix": adjacency, "attr_matrix": graph["x"], "labels": graph["y"]}
    np.savez(tmp_path / "dense.npz", **others, **masks)
    tensors = geometric.Data(**{key: torch.from_numpy(array) for key, array in graph.items()})
    expected = weights(f"graph:{tmp_path / 'g.npz'}", net="gnn")
    doors = {
        "an adjacency matrix": f"graph:{tmp_path / 'dense.npz'}",
        "a mapping": graph,
        "an object": SimpleNamespace(**graph),
        "Data of torch_geometric": tensors,
        "a mapping of FILE.py": in_file(tmp_path, f"dict(np.load({str(tmp_path / 'g.npz')!r}))"),
    }
    assert {name: weights(door, net="gnn") for name, door in doors.items()} == dict.fromkeys(doors, expected)


def test_spikes_are_the_same_from_a_file_and_as_counts(tmp_path):
    """Times in the middle of bins of 10 ms; the counts of a sample begin with its first spike."""
    h5py = pytest.importorskip("h5py")
    counts = (RNG.random((N, 8, 3)) < 0.3).astype(np.float32)
    counts[:, 0, 0] = 1
    y = np.arange(N) % 3
    for part, rows in (("train", slice(TRAIN)), ("test", slice(TRAIN, N))):
        with h5py.File(tmp_path / f"mine_{part}.h5", "w") as file:
            kinds = {"times": np.float64, "units": np.int64}
            held = {key: file.create_dataset(f"spikes/{key}", (len(y[rows]),), h5py.vlen_dtype(kind))
                    for key, kind in kinds.items()}  # fmt: skip
            for row, sample in enumerate(counts[rows]):
                steps, held["units"][row] = sample.nonzero()
                held["times"][row] = steps * 0.01 + 0.005 * (steps > 0)
            file["labels"] = y[rows]
    values = {"units": 3, "channels": 3, "crop_s": 0.08, "bin_ms": 10.0}
    arrays = counts[:TRAIN], y[:TRAIN], counts[TRAIN:], y[TRAIN:]
    np.savez(tmp_path / "counts.npz", *arrays)
    of_file = in_file(tmp_path, f"[a for a in np.load({str(tmp_path / 'counts.npz')!r}).values()]")
    expected = weights(f"spikes:{tmp_path / 'mine_train.h5'}", values)[1]
    doors = {"arrays": arrays, "arrays of FILE.py": of_file}
    assert {name: weights(door, {"val_fraction": 0.2})[1] for name, door in doors.items()} == dict.fromkeys(
        doors, expected
    )
