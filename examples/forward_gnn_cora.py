"""ForwardGNN on Cora: a two-layer GCN whose layers learn on their own, beside backpropagation with the same row norm.

    python examples/forward_gnn_cora.py

Cora is looked for in $BPFREE_DATA_DIR, else fetched. With BPFREE_QUICK=1 a short run; where that folder is not named
then, three communities, written as a graph file and trained on.
"""

import os
import tempfile
from pathlib import Path

import numpy as np

import bpfree
import bpfree.data

QUICK = bool(os.environ.get("BPFREE_QUICK"))


def communities(path: Path, n: int = 300) -> str:
    """A graph file: three groups, 8 neighbours a node, 80 % of them in its own group."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    groups = np.where(rng.random((n, 4)) < 0.8, y[:, None], rng.integers(0, 3, (n, 4)))
    target = 3 * rng.integers(0, n // 3, (n, 4)) + groups
    edges = np.zeros((n, n), bool)
    edges[np.arange(n)[:, None], target] = True
    edges |= edges.T
    row, column = edges.nonzero()
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    adjacency = {"indptr": start, "indices": column, "shape": np.array([n, n])}
    x = rng.random((n, 16)) + np.eye(3, 16)[y]
    np.savez(path, attr_matrix=x, labels=y, **{f"adj_matrix.{key}": value for key, value in adjacency.items()})
    return f"graph:{path}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = "cora" if os.environ.get("BPFREE_DATA_DIR") or not QUICK else communities(Path(folder) / "graph.npz")
        common = {"seed": 0, "threads": 1, "meter": "none", "epochs": 30 if QUICK else 1000, "patience": 200}
        common |= {
            "validate_every": 2,
            "weight_decay": 5e-4,
            "row_norm": True,
            "lr": 0.01 if QUICK else 0.001,
            "lr_schedule": "constant",
        }
        forward = bpfree.train("forward-gnn", data, hidden=(128, 128), **common)
        backprop = bpfree.train("backprop", data, hidden=(128,), **common)
        for record in (forward, backprop):
            result = record["result"]
            print(
                f"{record['algo']}: test accuracy {result['test']:.3f}, epochs {result['epochs']}, {result['readouts']}"
            )
        test = bpfree.data.load(data, {"virtual_nodes": True}, seed=0).test
        scores = bpfree.load(forward["folder"]).predict(test)
        print("classes of the first test nodes:", scores[:10].argmax(1).tolist())


if __name__ == "__main__":
    main()
