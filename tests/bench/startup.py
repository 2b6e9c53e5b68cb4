"""Start-up: how long until ``bpfree --help`` answers, and who imports torch on the way?

Every row is a fresh interpreter, nine times, interleaved: medians of CPU seconds (user + system, what the command
itself costs) and of wall seconds, and the ratio to a bare interpreter. Target: ``bpfree --help`` <= 0.3 CPU s,
``bpfree list`` and ``import energy`` without torch. On a busy machine wall seconds are mostly waiting.

    python tests/bench/startup.py [--json] [--repeats 9]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 0.3
CLI = "import sys; sys.argv[1:] = {!r}\nfrom bpfree.cli.commands import main\nmain()"
PROGRAMS = {
    "bare interpreter": "pass",
    "import energy": "import energy",
    "import bpfree": "import bpfree",
    "bpfree --help": CLI.format(["--help"]),
    "bpfree list": CLI.format(["list"]),
}
NO_TORCH = ("import energy", "bpfree list")
WATCH = "import atexit, sys\natexit.register(lambda: print(int('torch' in sys.modules), file=sys.stderr))\n"


def run(program: str) -> tuple[float, float, bool]:
    """CPU seconds, wall seconds, and whether torch was imported, of one fresh interpreter."""
    before, start = children_s(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCH + program],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall = time.perf_counter() - start
    return children_s() - before, wall, done.stderr.split()[-1] == "1"


def children_s() -> float:
    """CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description="Start-up time, and who imports torch.")
    parser.add_argument("--json", action="store_true", help="print the results as JSON and nothing else")
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    runs: dict[str, list] = {name: [] for name in PROGRAMS}
    for repeat in range(args.repeats + 1):
        for name, program in PROGRAMS.items():
            measured = run(program)
            if repeat:  # the first round fills the page cache and writes bytecode
                runs[name].append(measured)
    found = {}
    for name, all_runs in runs.items():
        cpu, wall, torch = zip(*all_runs, strict=True)
        found[name] = {"cpu_s": median(cpu), "wall_s": median(wall), "torch": any(torch)}
    bare = found["bare interpreter"]["cpu_s"]
    met = found["bpfree --help"]["cpu_s"] <= LIMIT_S and not any(found[name]["torch"] for name in NO_TORCH)
    if args.json:
        print(json.dumps({"rows": found, "met": met}))
    else:
        print(f"{'':<20}{'CPU s':>8}{'wall s':>8}{'of bare':>9}  torch")
        for name, row in found.items():
            ratio = row["cpu_s"] / max(bare, 1e-3)
            torch = "imported" if row["torch"] else "no"
            print(f"{name:<20}{row['cpu_s']:>8.3f}{row['wall_s']:>8.3f}{ratio:>9.1f}  {torch}")
        print("target met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
