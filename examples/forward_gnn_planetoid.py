"""Single forward and its fair controls on Planetoid: the table of RESULTS.md, or a part of it.

    python examples/forward_gnn_planetoid.py                  # all of it: hours
    python examples/forward_gnn_planetoid.py cora public      # one graph, one kind of split

Two GCN layers of width 128 (backpropagation: 128 and the classes), the protocol of ForwardGNN, five runs: its five
64/16/20 splits (``paper``), or five seeds on the split that comes with the data (``public``). Backpropagation is given
what single forward has, one thing at a time. Runs are kept under runs/planetoid, and finished ones are not repeated.
The graphs are looked for in $BPFREE_DATA_DIR, else fetched. With BPFREE_QUICK=1: 2 seeds, few epochs, on a small graph
that is made here.
"""

import os
import sys
import tempfile
from pathlib import Path

from forward_gnn_cora import communities

from bpfree.runs.recipes import Recipe, run

QUICK = bool(os.environ.get("BPFREE_QUICK"))
SEEDS = [0, 1] if QUICK else [10100, 10103, 10106, 10109, 10112]  # the paper's seeds; modulo 5 all its splits
ARMS = {
    "single forward": {"algo": "forward-gnn", "hidden": (128, 128)},
    "backprop": {"algo": "backprop", "hidden": (128,)},
    "backprop, row norm": {"algo": "backprop", "hidden": (128,), "row_norm": True},
    "backprop, virtual nodes": {"algo": "backprop", "hidden": (128,), "virtual_nodes": True},
}
PROTOCOL = {"net": "gnn", "epochs": 1000, "patience": 200, "validate_every": 2, "threads": 1}
PROTOCOL |= {"optimizer": "adam", "lr": 1e-3, "lr_schedule": "constant", "weight_decay": 5e-4}


def row(data: str, split: str, arm: str, out: Path, **changes: object) -> str:
    """One line of the table."""
    config = {**PROTOCOL, **ARMS[arm], "data": data, "split": split, **changes}
    name = f"{Path(data).stem}-{split}-{arm.replace(', ', '-').replace(' ', '-')}"
    summary = run(Recipe(name, "", {}, SEEDS, config, QUICK), out / name, meter="none")
    if summary["verdict"] == "stopped":
        sys.exit("stopped: the same command goes on")
    test = summary["figures"]["test"]
    epochs = sum(summary["epochs"]) / len(summary["epochs"])
    return (
        f"| {Path(data).stem} | {split} | {arm} | {test['mean']:.2%} ± {test['sd']:.2%} | {test['n']} | {epochs:.0f} |"
    )


def main() -> None:
    graphs, splits = [*sys.argv[1:], "", ""][:2]
    head = "| graph | split | rule | test accuracy | n | epochs |\n|---|---|---|---|---|---|"
    if QUICK:
        with tempfile.TemporaryDirectory() as folder:
            data = communities(Path(folder) / "graph.npz")
            print(head, *(row(data, "paper", arm, Path(folder), epochs=20, lr=0.01) for arm in ARMS), sep="\n")
        return
    print(head)
    for data in [graphs] if graphs else ["cora", "citeseer", "pubmed"]:
        for split in [splits] if splits else ["public", "paper"]:
            for arm in ARMS:
                print(row(data, split, arm, Path("runs") / "planetoid"), flush=True)


if __name__ == "__main__":
    main()
