"""NVML's counter on a real GPU: against sampled power, and its error bounds. Target: no window outside its bound.

    python tests/bench/gpu_meters.py [--seconds 60] [--compare] [--no-load] [--json]

Three phases of so many seconds each: idle, matrix products at full load, and a square wave of the two. In every phase
adjacent windows are metered by the counter and, at the same time, by power samples. The bounds are judged by the
counter itself over the whole phase, whose own bound is far smaller: where power is constant a window of T s holds T
times the mean power, and so does one of whole periods of the wave. ``--compare`` then runs ``bpfree compare --quick
--meter nvml`` and prints the bound of every run's training window. With 60 s it takes about 6 minutes. Exits 1 when a
window is outside of its bound, or has none.

With ``--no-load`` it sleeps instead of computing: a try of the script itself, on the library of
``tests/energy/fake_nvml.c``.
"""

import functools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]
PERIOD_S = 0.73  # of the wave: no multiple of any counter's tick
COMPARE = ["compare", "--quick", "--algos", "mono-forward", "--data", "npz:blobs.npz", "--seeds", "2"]


def gemm() -> Callable[[float], object]:
    """A function that keeps the GPU busy for so many seconds."""
    import torch

    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    out = torch.empty_like(a)

    def work(seconds: float) -> None:
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            torch.mm(a, a, out=out)
            torch.cuda.synchronize()

    return work


def lengths(seconds: float, seed: int = 0) -> Iterator[float]:
    """Lengths of windows between 0.5 and 3 s that fill a phase."""
    draw = random.Random(seed)
    left_s = seconds
    while left_s > 0:
        length_s = draw.uniform(0.5, 3.0)
        yield length_s
        left_s -= length_s


def phase(name: str, windows: Sequence[Callable[[], object]], warm_up: Callable[[], object]) -> dict[str, Any]:
    """Meter adjacent windows by counter and by samples, and judge the bounds.

    Args:
        name: of the phase.
        windows: the work of each.
        warm_up: done before the first.
    """
    from energy import EnergyError, Meter

    try:
        meters = Meter("nvml"), Meter("nvml-sampled")
    except EnergyError as error:
        return {"phase": name, "reasons": [str(error)], "outside": None}
    counter, sampled = meters
    with counter, sampled:
        warm_up()
        sampled.enter("phase")
        for number, work in enumerate(windows):
            counter.enter(f"{number}")
            work()
        counter.close()
    readings = [reading for reading in counter.readings().values() if not reading["within"]]
    return judged(name, readings, sampled.readings()["phase"]) | {"tick_ms": _tick_ms(counter.describe())}


def judged(name: str, readings: Sequence[dict[str, Any]], sampled: dict[str, Any]) -> dict[str, Any]:
    """Judge the readings of adjacent windows by their sum.

    The sum of adjacent windows errs at its two outer edges only: its bound is that of one window, over all joules.

    Args:
        name: of the phase.
        readings: of the windows, by the counter.
        sampled: of the whole phase, by samples of power.
    """
    known = [reading for reading in readings if reading["total_j"] and reading["err_bound"] is not None]
    row: dict[str, Any] = {"phase": name, "windows": len(readings), "void": len(readings) - len(known)}
    row["reasons"] = sorted({p["reason"] for r in readings for p in r["components"].values() if p["reason"]})
    if row["void"]:
        return row | {"outside": None}
    joules = sum(reading["total_j"] for reading in known)
    watts = joules / sum(reading["seconds"] for reading in known)
    slack = max(reading["err_bound"] * reading["total_j"] for reading in known) / joules
    shares = []
    for reading in known:
        true_j = watts * reading["seconds"]
        allowed_j = reading["err_bound"] * reading["total_j"] + slack * true_j
        shares.append(abs(reading["total_j"] - true_j) / allowed_j)
    return row | {
        "outside": sum(share > 1 for share in shares),
        "largest_share": max(shares),
        "largest_bound": max(reading["err_bound"] for reading in known),
        "counter_w": watts,
        "sampled_w": None if sampled["total_j"] is None else sampled["total_j"] / sampled["seconds"],
    }


def _tick_ms(description: dict[str, Any]) -> list[float]:
    parts = description["components"].items()
    return [part["tick_ms"] for name, part in parts if name.startswith("gpu") and part["tick_ms"]]


def compared(meter: str = "nvml") -> list[dict[str, Any]]:
    """Bounds of the training windows of a quick comparison.

    Args:
        meter: of its runs.
    """
    draw = np.random.default_rng(0)
    y = draw.integers(0, 10, 12_000)
    x = (draw.normal(size=(10, 256))[y] + 2 * draw.normal(size=(len(y), 256))).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        parts = {"x_train": x[:10_000], "y_train": y[:10_000], "x_test": x[10_000:], "y_test": y[10_000:]}
        np.savez(f"{folder}/blobs.npz", **parts)
        command = [sys.executable, "-m", "bpfree", *COMPARE, "--meter", meter, "--out", f"{folder}/study"]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return [{"run": "compare", "error": done.stderr.strip()[-2000:]}]
        records = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in Path(folder).rglob("run.json")]
        return [
            {
                "run": "/".join(path.parts[-4:-1]),
                "train_j": r["energy"]["train"]["total_j"],
                **_bound(r["energy"]["train"]),
            }
            for path, r in sorted(records)
        ]


def _bound(train: dict[str, Any]) -> dict[str, Any]:
    return {"err_bound": train["err_bound"], "lacks": train["lacks"], "method": train["method"]}


def main(
    seconds: Annotated[float, typer.Option(min=2.0, help="length of each phase")] = 60.0,
    compare: Annotated[bool, typer.Option("--compare", help="run bpfree compare --quick afterwards")] = False,
    no_load: Annotated[bool, typer.Option("--no-load", help="sleep instead of computing")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    load = time.sleep if no_load else gemm()

    def wave(periods: int) -> None:
        for _ in range(periods):
            load(PERIOD_S / 2)
            time.sleep(PERIOD_S / 2)

    def of(work: Callable[[float], object]) -> list[Callable[[], object]]:
        return [functools.partial(work, length_s) for length_s in lengths(seconds)]

    warm_s = min(5.0, seconds / 4)
    counts = [1 + k % 3 for k in range(max(2, round(seconds / (2 * PERIOD_S))))]
    rows = [
        phase("idle", of(time.sleep), lambda: time.sleep(warm_s)),
        phase("full load", of(load), lambda: load(warm_s)),
        phase("square wave", [functools.partial(wave, count) for count in counts], lambda: wave(2)),
    ]
    runs = compared() if compare else []
    if as_json:
        print(json.dumps({"phases": rows, "compare": runs}))
    else:
        for row in rows:
            print(", ".join(f"{key} {_text(value)}" for key, value in row.items() if value not in ([], None)))
        for run in runs:
            print(", ".join(f"{key} {_text(value)}" for key, value in run.items()))
        print("the bounds hold" if _hold(rows) else "THE BOUNDS DO NOT HOLD")
    raise typer.Exit(int(not _hold(rows) or any("error" in run for run in runs)))


def _hold(rows: Sequence[dict[str, Any]]) -> bool:
    return all(row["outside"] == 0 for row in rows)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    typer.run(main)
