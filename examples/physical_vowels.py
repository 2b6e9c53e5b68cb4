"""On vowels linear discriminants on the raw input are as good as any physics: every method and control in one table.

    python examples/physical_vowels.py [vowels | peterson-barney] [net] [splits]

Physical Forward-Forward gains one or two points by its physics, and LDA and backpropagation without physics reach the
same on the same splits (RESULTS.md): these tables cannot show a need for physics.

Each row is one method on the same box (same ``system_seed``), the same splits and the same scaling. Two kinds of test:
20 % of the tokens, whose speakers are in the training part too, and 20 % of the speakers (the only kind for Peterson &
Barney's table). Epochs are fixed in advance and the last state counts. Physical calls, digital multiply-adds and the
surrogate's cost are of one run.
"""

import math
import os
import sys

import scipy.stats
import torch

from bpfree import rules
from bpfree.data import load
from bpfree.functional.classical import discriminant, nearest
from bpfree.training.loop import Loop

KINDS = {"random": "random tokens", "speakers": "other speakers"}
QUICK = bool(os.environ.get("BPFREE_QUICK"))
DATA, NET, SPLITS = [*sys.argv[1:], *["vowels", "acoustic", "20"][len(sys.argv) - 1 :]]
SHOWN = ["speakers"] if DATA == "peterson-barney" else list(KINDS)
FF = {"lr": 2e-3, "lr_schedule": "constant", "epochs": 2 if QUICK else 40}
BP = {"lr": 5e-3, "lr_schedule": "constant", "epochs": 4 if QUICK else 200, "surrogate_steps": 20 if QUICK else 1000}
METHODS = {
    "physical-ff, bypass": ("physical-ff", FF),
    "physical-ff, no physics": ("physical-ff", {**FF, "bypass": "only"}),
    "physical-ff, no bypass": ("physical-ff", {**FF, "bypass": "none"}),
    "physical-ff, unsupervised": ("physical-ff", {**FF, "negatives": "mixture"}),
    "reservoir": ("reservoir", {}),
    "in-silico backprop": ("backprop", {**BP, "route": "in-silico"}),
    "physics-aware training": ("backprop", {**BP, "route": "physics-aware"}),
    "DFA on the linear maps": ("dfa", BP),
    "oracle backprop": ("backprop", {**BP, "route": "oracle"}),
    "backprop, no physics": ("backprop", {**BP, "bypass": "only"}),
}
PLAIN = {"LDA on the input": discriminant, "1-NN on the input": nearest}


def arrays(source):
    """All rows of a part, normalised, and their labels."""
    batch = next(source.batches(len(source)))
    return batch.x, batch.y


def accuracies(data, seed):
    """Test accuracy of every method on one split, and what a run cost."""
    x, y, test, true = *arrays(data.train), *arrays(data.test)
    results = {name: (float((method(x, y, test) == true).double().mean()), None) for name, method in PLAIN.items()}
    for name, (algo, values) in METHODS.items():
        whole = {"net": NET, "batch_size": 10_000, "keep": "last", **values}
        loop = Loop(rules.rule(algo)(**whole), data, seed=seed, threads=1, device="cpu")
        loop.run()
        results[name] = loop.evaluate(loop.data.test), loop.external[0].report()
    return results


def interval(values):
    """Mean and half the 95 % interval of the mean, both in per cent, of accuracies on several splits."""
    values = 100 * torch.as_tensor(values, dtype=torch.float64)
    t = scipy.stats.t.ppf(0.975, len(values) - 1)
    return f"{values.mean():5.1f} ± {t * values.std() / math.sqrt(len(values)):3.1f} (sd {values.std():.1f})"


def main():
    """One column for each kind of split, rows in the order of the list above; nothing is ranked."""
    table, costs = {}, {}
    for split in SHOWN:
        for seed in range(2 if QUICK else int(SPLITS)):
            options = {"split": split, "normalize": "positive", "val_fraction": 0.05}
            for name, (accuracy, report) in accuracies(load(DATA, options, seed), seed).items():
                table.setdefault(name, {}).setdefault(split, []).append(accuracy)
                costs[name] = report
    physics, none = (table[f"physical-ff, {kind}"] for kind in ("bypass", "no physics"))
    for split in SHOWN:
        gain = torch.tensor(physics[split]) - torch.tensor(none[split])
        print(f"{KINDS[split]}: with its bypass, physical-ff gains {interval(gain)} points by the physics")
    n = len(physics[SHOWN[0]])
    print(f"\n{DATA}, {NET}: test accuracy in %, mean and 95 % interval of it over n = {n} splits of each kind")
    heads = [*(KINDS[split] for split in SHOWN), "physical calls", "multiply-adds", "surrogate: calls", "multiply-adds"]
    print(f"{'':26}" + "".join(f"{head:24}" if head in KINDS.values() else f"{head:>18}" for head in heads))
    for name, columns in table.items():
        line = f"{name:26}" + "".join(f"{interval(columns[split]):24}" for split in SHOWN)
        if report := costs[name]:
            model = report["surrogate"]
            rule = (sum(report[key].values()) for key in ("physical_calls", "digital_macs"))
            line += "".join(f"{count:>18,}" for count in (*rule, model["physical_calls"], model["digital_macs"]))
        print(line)


main()
