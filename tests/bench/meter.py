"""Cost of metering. Target: at most 0.1 % of a 30 s run with 20 window switches, the model's one-off start excluded.

    python tests/bench/meter.py [--seconds 30] [--repeats 3] [--json]

A process does nothing but sleep and switch windows. Its CPU time between the first edge and the last, less that of the
same process with a meter that reads nothing, is what metering takes from a run, background reads included; the wall
time inside ``enter`` is what the run waits for. Both are shares of the run, and the larger of the two, median of the
repeats, must meet the target. Rows: what this machine offers (``auto``), and the NVML counter of the fake library
(its calls are cheaper than a real driver's; the cost here is the meter's own). Exits 1 when a row misses the target.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = 0.001
SWITCHES = 20
CHILD = f"""
import json, sys, time
from energy import Meter
seconds = float(sys.argv[2])
meter = Meter(sys.argv[1])
meter.enter("setup")
wall_s, began_s, cpu_s = 0.0, time.perf_counter(), time.process_time()
for switch in range({SWITCHES}):
    time.sleep(seconds / {SWITCHES})
    before_s = time.perf_counter()
    meter.enter(("train", "validate")[switch % 2])
    wall_s += time.perf_counter() - before_s
cpu_s, run_s = time.process_time() - cpu_s, time.perf_counter() - began_s
meter.close()
about = meter.describe()
print(json.dumps(dict(cpu_s=cpu_s, wall_s=wall_s, run_s=run_s, start_s=about["start_s"],
    model_start_s=about["model_start_s"], methods={{k: v["method"] for k, v in about["components"].items()}})))
"""


def measure(backend: str, seconds: float, library: str) -> dict:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "LD_LIBRARY_PATH": library}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, backend, str(seconds)], env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def fake_library(folder: str) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    source, library = ROOT / "tests" / "energy" / "fake_nvml.c", Path(folder) / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o", library, source], check=True)
    return True


def main(
    seconds: Annotated[float, typer.Option(min=1.0)] = 30.0,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        backends = [("auto", "")] + ([("nvml", folder), ("nvml-sampled", folder)] if fake_library(folder) else [])
        base_s = statistics.median(measure("none", seconds, "")["cpu_s"] for _ in range(repeats))
        for backend, library in backends:
            runs = [measure(backend, seconds, library) for _ in range(repeats)]
            cpu = [(run["cpu_s"] - base_s) / run["run_s"] for run in runs]
            wall = [run["wall_s"] / run["run_s"] for run in runs]
            share = max(statistics.median(cpu), statistics.median(wall))
            judged = backend != "nvml-sampled"  # polling is the fall-back for boards without a counter: shown only
            rows.append(
                {
                    "backend": backend + (" (fake library)" if library else ""),
                    "methods": runs[0]["methods"],
                    "n": repeats,
                    "cpu_share": cpu,
                    "wall_share": wall,
                    "share": share,
                    "model_start_s": [run["model_start_s"] for run in runs],
                    "target": TARGET if judged else None,
                    "met": share <= TARGET if judged else None,
                }
            )
    if as_json:
        print(json.dumps({"seconds": seconds, "switches": SWITCHES, "base_cpu_s": base_s, "rows": rows}))
    else:
        print(
            f"{SWITCHES} switches in {seconds:g} s, n = {repeats}; medians; CPU without a meter: {1e3 * base_s:.1f} ms"
        )
        print(f"{'backend':28} {'CPU':>9} {'waiting':>9}   target {TARGET:.1%}   model start (not counted)")
        for row in rows:
            starts = [start for start in row["model_start_s"] if start is not None]
            verdict = {True: "met", False: "MISSED", None: "not judged"}[row["met"]]
            print(
                f"{row['backend']:28} {statistics.median(row['cpu_share']):9.4%}"
                f" {statistics.median(row['wall_share']):9.4%}   {verdict:12}"
                f"  {f'{statistics.median(starts):.2f} s' if starts else 'none'}"
            )
    raise typer.Exit(int(any(row["met"] is False for row in rows)))


if __name__ == "__main__":
    typer.run(main)
