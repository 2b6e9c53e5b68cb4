"""What delays are worth: spoken digits of speakers never heard, with learned, fixed and no delays, dense and sparse.

    python examples/delays_fsdd.py [folder of the runs] [seeds a fold] ["arm" …]

Leave-one-speaker-out on FSDD: 6 folds x 3 seeds a row, each row a recipe of examples/recipes, or a dense net of about
as many parameters on the same spikes. The epoch is chosen on clips of the training speakers. Differences are paired by
speaker, after the mean over a speaker's seeds: n = 6, t intervals (`bpfree.reports.statistics`). A run that is
finished is read, one that was cut goes on: call it again. Arms that are named are run alone, so that processes can
share the work; a last call without names reads them all. ``BPFREE_QUICK=1``: small synthetic spikes and two seeds,
not FSDD.
"""

import os
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
import yaml

import bpfree
from bpfree.reports.statistics import differences, interval, paired, summary
from bpfree.runs.plan import settings_of

QUICK = bool(os.environ.get("BPFREE_QUICK"))
OUT, EACH = [*sys.argv[1:3], *["runs/delays-quick" if QUICK else "runs/delays-fsdd", "3"][len(sys.argv) - 1 :]]
FOLDS, SEEDS = (2, 1) if QUICK else (6, int(EACH))
RECIPES = Path(__file__).parent / "recipes"
DENSE = {"algo": "backprop", "lr": 2e-3, "lr_schedule": "cosine", "weight_decay": 0.0}
ARMS = {
    "learned": ("fsdd-delays", {}),
    "fixed random": ("fsdd-delays-fixed", {}),
    "none": ("fsdd-delays-none", {}),
    "sparse, learned": ("fsdd-sparse-delays", {}),
    "sparse, fixed random": ("fsdd-sparse-delays-fixed", {}),
    "sparse, none": ("fsdd-sparse-delays-none", {}),
    "learned, local": ("fsdd-local-delays", {}),
    "GRU": ("fsdd-delays", {**DENSE, "net": "gru", "hidden": [48]}),
    "1-D CNN": ("fsdd-delays", {**DENSE, "net": "conv1d", "hidden": [32, 32]}),
}
STEPS = [("learned", "fixed random"), ("fixed random", "none")]
PAIRS = [*STEPS, *((f"sparse, {a}", f"sparse, {b}") for a, b in STEPS), ("learned, local", "learned")]


def synthetic():
    """A file of three classes that differ only in the time from one spike to the next."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.zeros(500, 20, 8), torch.arange(500) % 3
    for row, channel in torch.cartesian_prod(torch.arange(500), torch.arange(0, 8, 2)).tolist():
        first = int(torch.randint(15, (), generator=generator))
        x[row, first, channel] = x[row, first + 1 + int(y[row]), channel + 1] = 1
    Path(OUT).mkdir(parents=True, exist_ok=True)
    np.savez(Path(OUT) / "spikes.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    return f"npz:{Path(OUT) / 'spikes.npz'}"


def config(recipe, changes):
    """The recipe with the changes, as far as the rule, net and data that these name have its settings."""
    values = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8")) | changes
    if QUICK:
        small = {"hidden": [12, 12], "synapses": 4, "epochs": 6, "batch_size": 25}
        values |= {"data": synthetic(), "normalize": "unit", **small}
    names = {name: values[name] for name in ("algo", "data", "net")}
    known = {field.name for kind in settings_of(**names).values() for field in fields(kind)}
    return names | {key: value for key, value in values.items() if key in known}


def cell(arm, seed):
    """Test accuracy of one arm and seed; a seed's speaker is the seed modulo 6."""
    folder = Path(OUT) / f"{arm.replace(', ', '-').replace(' ', '-')}-s{seed}"
    go = {"resume": folder} if (folder / "config.yaml").exists() else {"out": folder}
    return bpfree.train(**config(*ARMS[arm]), **go, seed=seed, meter="none")


def main():
    arms = sys.argv[3:] or [arm for arm in ARMS if not (QUICK and "net" in ARMS[arm][1])]
    by_fold, cost = {}, {}
    for arm in arms:  # (F, S): a fold's seeds are fold, fold + 6, ...
        runs = [[cell(arm, fold + 6 * i) for i in range(SEEDS)] for fold in range(FOLDS)]
        by_fold[arm] = [sum(100 * run["result"]["test"] for run in fold) / SEEDS for fold in runs]
        cost[arm] = runs[-1][-1]
    n = f"n = {FOLDS} speakers, {SEEDS} seeds each"
    print(f"\ntest accuracy in %, mean and 95 % interval over speakers ({n}), parameters, operations of a prediction")
    for arm, speakers in by_fold.items():
        (low, high), counts = interval(speakers), cost[arm]["operations"]
        size = cost[arm]["parameters"]["inference"]
        line = f"{arm:22} {summary(speakers).mean:6.2f} [{low:6.2f}, {high:6.2f}] {size:8,}"
        if counts:
            done, model = counts["a_prediction"], 1e9 * counts["energy"]["j_a_prediction"]
            sums = ", ".join(f"{done[kind]:,.0f} {kind}" for kind in ("accumulates", "multiply-accumulates"))
            line += f"  {sums}, ≈ {model:.0f} nJ (modelled)"
        print(line)
    print("\npaired differences in points, 95 % interval")
    for a, b in [pair for pair in PAIRS if {*pair} <= {*by_fold}]:
        gap = paired(differences(by_fold[a], by_fold[b]))
        print(f"{a} - {b}: {gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}], p = {gap.p:.3f}")


main()
