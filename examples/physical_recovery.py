"""A sudden change of the box half-way: who goes on, who falls, who recovers?

    python examples/physical_recovery.py [seeds] [share of the transmission matrix that is new]

Vowels through simulated optics without a bypass, so that everything passes the box. Half-way through its training, T
becomes sqrt(1 - p) T + sqrt(p) G. Physical Forward-Forward and direct feedback need no model of the box; in-silico
training has one in the place of the box, and physics-aware training takes its gradients from one, both fitted before
the change. Test accuracy after every epoch, as mean and standard deviation over seeds: physical_recovery.png
in the working directory.
"""

import os
import sys

import matplotlib
import torch

from bpfree import rules
from bpfree.data import load
from bpfree.training.loop import Loop

matplotlib.use("Agg")
from matplotlib import pyplot

QUICK = bool(os.environ.get("BPFREE_QUICK"))
SEEDS, SHARE = [*sys.argv[1:], *["2" if QUICK else "10", "0.2"][len(sys.argv) - 1 :]]
FF, BP = ({"epochs": 4}, {"epochs": 10}) if QUICK else ({"epochs": 80}, {"epochs": 400})
FF |= {"lr": 2e-3, "lr_schedule": "constant"}
BP |= {"lr": 5e-3, "lr_schedule": "constant", "surrogate_steps": 20 if QUICK else 1000}
METHODS = {
    "physical-ff": ("physical-ff", FF),
    "in-silico backprop": ("backprop", {**BP, "route": "in-silico"}),
    "physics-aware training": ("backprop", {**BP, "route": "physics-aware"}),
    "direct feedback": ("dfa", BP),
}
BOX = {"net": "optics", "bypass": "none", "hit": float(SHARE), "batch_size": 10_000, "keep": "last"}


class Watch:
    """Test accuracy after every epoch; nothing is selected by it."""

    def __init__(self):
        self.seen = []

    def on_epoch(self, loop):
        self.seen.append(loop.evaluate(loop.data.test))


def curve(algo, values, seed):
    """One run; an epoch is one batch, so the box changes after half of the epochs."""
    watch = Watch()
    data = load("vowels", {"normalize": "positive", "val_fraction": 0.05}, seed)
    trainer = rules.rule(algo)(**BOX, **values, hit_at=values["epochs"] // 2)
    Loop(trainer, data, seed=seed, threads=1, device="cpu", callbacks=[watch]).run()
    return watch.seen


def main():
    axes = pyplot.figure(figsize=(7, 4)).gca()
    print(f"test accuracy in %, mean ± sd over {SEEDS} seeds; {float(SHARE):.0%} of T is new half-way")
    print(f"{'':26}{'before':>16}{'just after':>16}{'at the end':>16}")
    for name, (algo, values) in METHODS.items():
        curves = 100 * torch.tensor([curve(algo, values, seed) for seed in range(int(SEEDS))], dtype=torch.float64)
        half = values["epochs"] // 2
        moments = (curves[:, half - 2], curves[:, half - 1], curves[:, -1])  # the change ends the epoch before its test
        print(f"{name:26}" + "".join(f"{at.mean():10.1f} ± {at.std():3.1f}" for at in moments))
        progress = torch.arange(1, values["epochs"] + 1) / values["epochs"]
        mean, sd = curves.mean(0), curves.std(0)
        (line,) = axes.plot(progress, mean, label=name)
        axes.fill_between(progress, mean - sd, mean + sd, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="share of the training that is done", ylabel="test accuracy in %", ylim=(0, 101))
    axes.legend(loc="lower right")
    axes.figure.savefig("physical_recovery.png", dpi=150, bbox_inches="tight")
    print("picture: physical_recovery.png")


main()
