"""A study made of synthetic records: known accuracies, joules and times, so that a report's numbers can be derived."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.reports import study
from bpfree.reports.build import build
from bpfree.runs import record
from energy.readings import compose

ARMS = {"mine": {}, "backprop": {"role": "twin"}}
GPU = ("gpu0", "measured:counter", "NVML energy counter of Board (0123456789ab)", 20.0)
GUESS = (("cpu", "modelled", "a load model", None), ("ram", "constant", "watts a DIMM", None))


def window(seconds: float, watts: Mapping[str, float], parts: Sequence[tuple] = (GPU,), fake: bool = False) -> dict:
    """The reading of a window of so many seconds in which each part drew so many watts."""
    components = {
        name: {
            "energy_j": watts[name] * seconds,
            "method": method,
            "source": source,
            "boundary": f"{name} of a test",
            "uncertainty": "none",
            "tick_ms": tick_ms,
            "highest_w": watts[name],
            "reason": "",
            "fake": fake,
        }
        for name, method, source, tick_ms in parts
    }
    return compose(seconds, seconds, 2, components, None)


def run(
    arm: str,
    seed: int,
    *,
    test: float = 0.98,
    watts: float = 100.0,
    train_s: float = 10.0,
    peak: int = 10**8,
    epochs: int = 5,
    parts: Sequence[tuple] = (GPU,),
    fake: bool = False,
    net_key: str | None = "net",
    config: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A finished record. Its curve rises to ``test``; every window draws the same watts."""
    power = {name: watts for name, *_ in parts}
    energy = {
        name: window(seconds, power, parts, fake)
        for name, seconds in (("setup", 1.0), ("train", train_s), ("validate", 2.0), ("save", 0.5), ("predict", 0.5))
    }
    history = [
        {
            "epoch": k + 1,
            "phase": "all",
            "val": test - 0.2 * 0.5**k,
            "train_s": train_s * (k + 1) / epochs,
            "train_j": {name: watts * train_s * (k + 1) / epochs for name, *_ in parts},
        }
        for k in range(epochs)
    ]
    described = {
        name: {
            **{key: part[key] for key in ("method", "source", "boundary", "uncertainty", "tick_ms", "reason", "fake")},
            "refused": [],
        }
        for name, part in energy["train"]["components"].items()
    }
    digest = hashlib.sha256(f"{arm} {sorted((config or {}).items())} {seed}".encode()).hexdigest()
    return {
        "schema": record.SCHEMA,
        "config": {"algo": arm, "seed": seed, "epochs": 100, "patience": 3, "min_delta": 0.0, **(config or {})},
        "config_sha256": digest,
        "algo": arm,
        "algo_sha256": "0" * 64,
        "data": {"name": "digits", "sha256": "0" * 64, "rows": {"train": 1000, "val": 200, "test": 500}},
        "seed": seed,
        "status": "finished",
        "started": None,
        "ended": None,
        "device": {"type": "cuda", "name": "Board", "driver": "1"},
        "versions": {"python": "3", "torch": "2"},
        "threads": 1,
        "parameters": {"trained": 1000, "stored": 1000, "inference": 1000},
        "forwards": {"step": 1, "prediction": 1},
        "result": {
            "task": "classification",
            "metric": "accuracy",
            "direction": "max",
            "test": test,
            "val": test - 0.001,
            "predictions_sha256": digest,
            "epochs": epochs,
            "data_passes": float(epochs),
        },
        "time": {"train_s": train_s},
        "memory": {"live_bytes": peak, "peak_bytes": peak, "method": "CUDA allocator peak"},
        "energy": energy,
        "meter": {"fake": fake, "components": described},
        "resumes": 0,
        "history": history,
        "net_key": net_key,
        **changes,
    }


def write(
    folder: Path,
    arms: Mapping[str, Mapping[str, Any]],
    runs: Callable[[str, int], dict[str, Any] | None],
    seeds: Sequence[int] = (0, 1, 2),
    budget: str = study.OWN,
    **plan: Any,
) -> study.Study:
    """Put a study into a folder and load it.

    Args:
        folder: of the study.
        arms: name -> entries of ``study.json`` other than name, rule and net.
        runs: ``runs(arm, seed)`` is the record, or None for a run that failed before it left one.
        seeds: of every arm.
        budget: of every run.
        **plan: entries of ``study.json``.
    """
    listed = []
    for seed in seeds:
        for arm in arms:
            path = f"runs/{arm}-s{seed}"
            made = runs(arm, seed)
            entry = {"arm": arm, "seed": seed, "budget": budget, "order": len(listed), "path": path}
            if made is None:
                listed.append({**entry, "status": "failed", "error": "the loss became NaN"})
                continue
            (folder / path).mkdir(parents=True)
            record.write({"folder": str(folder / path), **made}, folder / path / study.RECORD)
            listed.append({**entry, "status": made["status"], "error": made.get("error")})
    written = {
        "schema": study.SCHEMA,
        "name": "a study of doubles",
        "arms": [{"name": name, "algo": name, "net_key": "net", **about} for name, about in arms.items()],
        "budgets": [budget],
        "seeds": list(seeds),
        "data": "digits",
        "runs": listed,
        **plan,
    }
    folder.mkdir(exist_ok=True)
    study.write(written, folder)
    return study.load(folder)


def report_of(folder, run, seeds=(0, 1, 2), arms=ARMS, at=None, **plan) -> dict:
    """The report of a study written into ``folder``."""
    return build(write(folder, arms, run, seeds, **plan), at)
