"""Toy sets: does every rule learn scikit-learn's small tables with its default settings?

iris, wine, digits, breast cancer (accuracy) and diabetes (R2); 5 folds, 3 repeats: n = 15 runs of each rule on each
set, one thread each. A rule trains on the fold's training part (a sixth of it validates) as ``fit`` does, with no
setting changed. The reference trains on the same rows: logistic regression, or ridge regression, on standardised
inputs.

Rules whose task or input does not fit are listed with the reason that they give when they are built for the set.

Target: the mean is at most 5 points below logistic regression, and R2 at most 0.05 below ridge regression; or the rule
says for what it is not made (``Trainer.not_for``, printed by ``bpfree info RULE``).

A run takes 3 to 20 s of CPU (2,000 steps). Each is written to ``--out`` at once and not made again: a bench that was
cut goes on with the same command, and ``--splits 5`` makes the first repeat alone. Several commands may fill files of
their own, which ``--table FILE…`` reads together; ``--markdown`` prints the table of docs/rules.md.

    python tests/bench/toy_sets.py [--rules backprop,mono-forward] [--sets iris,wine] [--jobs 2] [--splits 15]
                                   [--out toy_sets.json] [--json]
    python tests/bench/toy_sets.py --table a.json b.json [--markdown]
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bpfree.config.settings import resolve
from bpfree.data import as_data
from bpfree.data.settings import OwnSettings
from bpfree.errors import BpfreeError, InputError
from bpfree.rules import RULES
from bpfree.training import contract
from bpfree.training.checkpoint import Cursor
from bpfree.training.data import Data
from bpfree.training.evaluation import Evaluator
from bpfree.training.files import write_json

SETS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
    "breast-cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}
FOLDS, REPEATS = 5, 3
REFERENCE = "reference"
BELOW = 0.05  # of accuracy, or of R2


@cache
def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features ``(N, F)`` and targets ``(N,)`` of a set."""
    return SETS[name](return_X_y=True)


def numbers(name: str) -> bool:
    """True where numbers are to be predicted."""
    return name == "diabetes"


def split(name: str, k: int) -> list[np.ndarray]:
    """Features and targets of the training part, then of the test part, of split ``k``."""
    x, y = arrays(name)
    folds = RepeatedKFold if numbers(name) else RepeatedStratifiedKFold
    train, test = list(folds(n_splits=FOLDS, n_repeats=REPEATS, random_state=0).split(x, y))[k]
    return [x[train], y[train], x[test], y[test]]


def data_of(rule: str, name: str, k: int) -> Data:
    """Split ``k`` as ``fit`` reads it for a rule."""
    (settings,) = resolve([OwnSettings], {}, RULES.load(rule).prefer)
    return as_data(tuple(split(name, k)), settings, seed=k)


def refusal(rule: str, name: str) -> str:
    """Reason of a rule not to learn a set, or ""."""
    try:
        with contract.net_fits():
            RULES.load(rule)().build(data_of(rule, name, 0).spec)
    except InputError as error:
        return str(error)
    return ""


def run(rule: str, name: str, k: int) -> dict[str, Any]:
    """Train on one split and test: the metric, seconds of CPU, steps; or the error."""
    torch.set_num_threads(1)
    logging.disable()
    begun = time.process_time()
    if rule == REFERENCE:
        x, y, x_test, y_test = split(name, k)
        model = Ridge() if numbers(name) else LogisticRegression(max_iter=5000)
        score = make_pipeline(StandardScaler(), model).fit(x, y).score(x_test, y_test)
        return {"test": score, "cpu_s": time.process_time() - begun}
    trainer, data = RULES.load(rule)(), data_of(rule, name, k)
    try:
        epochs = len(trainer.fit(data, seed=k, threads=1, device="cpu"))
        evaluator = Evaluator(trainer, torch.device("cpu"), "fp32", 1000, Cursor())
        return {"test": evaluator.evaluate(data.test), "epochs": epochs, "cpu_s": time.process_time() - begun}
    except BpfreeError as error:
        return {"error": str(error)}


class Results:
    """Runs by ``set/rule/split``, in a file.

    Args:
        path: of the file, which may exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.runs, self.refused = saved.get("runs", {}), saved.get("refused", {})

    def save(self) -> None:
        write_json({"runs": self.runs, "refused": self.refused}, self.path, "results")

    def fill(self, rules: list[str], sets: list[str], splits: int, jobs: int) -> None:
        """Make all runs that are not there yet."""
        for name in sets:
            for rule in rules:
                if reason := refusal(rule, name):
                    self.refused[f"{name}/{rule}"] = reason
        wanted = [
            (rule, name, k)
            for k in range(splits)
            for name in sets
            for rule in [REFERENCE, *rules]
            if f"{name}/{rule}" not in self.refused and f"{name}/{rule}/{k}" not in self.runs
        ]
        self.save()
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            pending = {pool.submit(run, *job): job for job in wanted}
            for done, future in enumerate(as_completed(pending), 1):
                rule, name, k = pending[future]
                self.runs[f"{name}/{rule}/{k}"] = result = future.result()
                self.save()
                print(f"{done}/{len(wanted)} {name} {rule} split {k}: {result}", file=sys.stderr, flush=True)


def rows(results: list[Results]) -> Iterator[dict[str, Any]]:
    """One row a set and rule: n, mean, standard deviation, the reference on the same splits, and whether it holds."""
    runs = {key: result for part in results for key, result in part.runs.items()}
    groups: dict[tuple[str, str], list[int]] = {}
    for key in runs:
        name, rule, k = key.split("/")
        groups.setdefault((name, rule), []).append(int(k))
    for (name, rule), splits in sorted(groups.items(), key=lambda item: ([*SETS].index(item[0][0]), item[0][1])):
        if rule == REFERENCE:
            continue
        mine = [runs[f"{name}/{rule}/{k}"] for k in splits]
        values = [result["test"] for result in mine if "test" in result]
        failed = [result["error"] for result in mine if "error" in result]
        reference = mean(runs[f"{name}/{REFERENCE}/{k}"]["test"] for k in splits)
        yield {
            "set": name,
            "rule": rule,
            "n": len(values),
            "mean": mean(values) if values else None,
            "sd": stdev(values) if len(values) > 1 else None,
            "reference": reference,
            "cpu_s": mean(result["cpu_s"] for result in mine if "cpu_s" in result) if values else None,
            "failed": failed,
            "holds": not failed and mean(values) >= reference - BELOW,
            "not_for": RULES.load(rule).not_for,
        }


def show(table: list[dict[str, Any]], refused: dict[str, str]) -> None:
    """Print the table, and the rules that do not fit with their reasons."""
    print(f"{'set':<14}{'rule':<28}{'n':>3}{'mean':>8}{'sd':>7}{'reference':>11}{'CPU s':>7}")
    for row in table:
        figures = [f"{row[key]:.3f}" if row[key] is not None else "-" for key in ("mean", "sd", "reference")]
        cpu = "-" if row["cpu_s"] is None else f"{row['cpu_s']:.0f}"
        below = f"  BELOW; not made for {row['not_for']}" if row["not_for"] else "  BELOW"
        verdict = "" if row["holds"] else below if not row["failed"] else f"  FAILED: {row['failed'][0]}"
        mean_, sd, reference = figures
        print(f"{row['set']:<14}{row['rule']:<28}{row['n']:>3}{mean_:>8}{sd:>7}{reference:>11}{cpu:>7}{verdict}")
    for key, reason in sorted(refused.items()):
        name, rule = key.split("/")
        print(f"{name:<14}{rule:<28}does not fit: {reason}")


def markdown(table: list[dict[str, Any]]) -> str:
    """The table of the documentation: a row a rule, a column a set, each cell mean and standard deviation."""
    cells = {(row["rule"], row["set"]): row for row in table}
    n = {row["n"] for row in table}
    references = {row["set"]: row["reference"] for row in table}
    lines = [
        "| rule | " + " | ".join(SETS) + " |",
        "| --- |" + " --- |" * len(SETS),
        "| logistic, ridge regression | " + " | ".join(f"{references[name]:.3f}" for name in SETS) + " |",
    ]
    for rule in dict.fromkeys(row["rule"] for row in table):
        texts = []
        for name in SETS:
            row = cells.get((rule, name))
            below = "" if row is None or row["holds"] else " (below)"
            spread = "" if row is None or row["sd"] is None else f" ± {row['sd']:.3f}"
            texts.append("-" if row is None else f"{row['mean']:.3f}{spread}{below}")
        lines.append(f"| `{rule}` | " + " | ".join(texts) + " |")
    return "\n".join([f"n = {' to '.join(map(str, sorted({min(n), max(n)})))} runs a cell.", "", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", default=",".join(RULES.choices()))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--splits", type=int, default=FOLDS * REPEATS, help="the first of the 15")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("toy_sets.json"))
    parser.add_argument("--table", type=Path, nargs="+", help="read these files, and run nothing")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    logging.disable()
    results = [Results(path) for path in args.table or [args.out]]
    if not args.table:
        results[0].fill(args.rules.split(","), args.sets.split(","), args.splits, args.jobs)
    table = list(rows(results))
    refused = {key: reason for part in results for key, reason in part.refused.items()}
    if args.json:
        print(json.dumps({"rows": table, "refused": refused}))
    elif args.markdown:
        print(markdown(table))
    else:
        show(table, refused)
    return 0 if all(row["holds"] or (row["not_for"] and not row["failed"]) for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
