"""Length of Forward-Forward's appended label: validation accuracy against `bpfree.rules._labels.LENGTH`.

Wine, breast cancer, digits and two made sets of gaussian classes, 3 seeds, one thread, default settings but for 20
epochs. The rows that a seed trains on are a random 60 % of the set; a sixth of them validates and is scored. The other
40 % are never read: they stand for a test part, which must not choose a setting.

A length stands unless another's mean over the sets is higher by more than twice the standard error of the paired
difference over sets and seeds.

    python tests/bench/label_length.py [--epochs 20] [--json]
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bpfree.config.settings import resolve
from bpfree.data import as_data
from bpfree.data.settings import OwnSettings
from bpfree.rules import RULES, _labels
from bpfree.training.checkpoint import Cursor
from bpfree.training.evaluation import Evaluator

LENGTHS, SEEDS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0), 3
RULE = "forward-forward"


def mixture(classes: int, features: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """500 rows around one random centre a class, whose coordinates have the deviation ``distance``; noise has 1."""
    rng = np.random.default_rng(0)
    y = np.arange(500) % classes
    return rng.normal(0, distance, (classes, features))[y] + rng.normal(size=(500, features)), y


def sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features ``(N, F)`` and classes ``(N,)`` by name."""
    return {
        "wine": datasets.load_wine(return_X_y=True),
        "breast-cancer": datasets.load_breast_cancer(return_X_y=True),
        "digits": datasets.load_digits(return_X_y=True),
        "3 gaussians in 4": mixture(3, 4, 1.5),
        "8 gaussians in 16": mixture(8, 16, 0.8),
    }


def score(x: np.ndarray, y: np.ndarray, length: float, seed: int, epochs: int) -> float:
    """Validation accuracy after training with labels of ``length``.

    Args:
        x: features of the whole set ``(N, F)``.
        y: classes ``(N,)``.
        length: in root mean square lengths of an example.
        seed: of the rows, the validation part and the run.
        epochs: of training.
    """
    _labels.LENGTH = length
    rows, _ = train_test_split(np.arange(len(y)), train_size=0.6, stratify=y, random_state=seed)
    rule = RULES.load(RULE)
    (settings,) = resolve([OwnSettings], {}, rule.prefer)
    data = as_data((x[rows], y[rows]), settings, seed=seed)
    trainer = rule(epochs=epochs)
    trainer.fit(data, seed=seed, threads=1, device="cpu")
    return Evaluator(trainer, torch.device("cpu"), "fp32", 1000, Cursor()).evaluate(data.val)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20, help="of training")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable()
    present = _labels.LENGTH
    begun, scores = time.process_time(), {}
    for name, (x, y) in sets().items():
        for length in LENGTHS:
            scores[name, length] = [score(x, y, length, seed, options.epochs) for seed in range(SEEDS)]
        if not options.json:
            cells = (f"{100 * mean(s):5.1f} ±{100 * stdev(s):4.1f}" for s in (scores[name, k] for k in LENGTHS))
            print(f"{name:18}", *cells, sep="  ", flush=True)
    pooled = {length: [s for name in sets() for s in scores[name, length]] for length in LENGTHS}
    if options.json:
        print(json.dumps({str(length): values for length, values in pooled.items()}))
        return
    print(f"{'mean':18}", *(f"{100 * mean(pooled[length]):5.1f}      " for length in LENGTHS), sep="  ")
    best = max(LENGTHS, key=lambda length: mean(pooled[length]))
    gaps = [a - b for a, b in zip(pooled[best], pooled[present], strict=True)]
    error = stdev(gaps) / len(gaps) ** 0.5
    print(
        f"best {best}: {100 * mean(gaps):+.2f} points over {present}, standard error {100 * error:.2f}, n = {len(gaps)}"
    )
    print(f"{time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
