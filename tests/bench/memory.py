"""Memory against depth: is it flat for local rules, and how far below backpropagation?

One batch of 2048 synthetic samples of 512 features (so that every block is the same 512 x 512 product and depth is all
that changes), depth 4, 8, 16 and 32, plain SGD without momentum (no optimizer state). Every point is a fresh process.

    held      live unique storages without parameters, at most, between a forward and its backward (at a ``yield``)
    peak      the same at its highest in the whole step: temporaries and gradients of the backward pass included
    resident  growth of the process's peak resident memory from net and batch built to two steps done
    returned  the same when malloc returns freed blocks to the system (``MALLOC_MMAP_THRESHOLD_`` = 1 MiB): without the
              holes that glibc's heap keeps where a small tensor outlives the large ones around it

Target, on ``held``: depth 32 over depth 4 <= 1.05 for mono-forward and forward-forward (energy readout, uniform
negatives), on ``peak`` too; at depth 32 mono-forward <= 1/12 and forward-forward <= 1/6 of backprop. The row
forward-forward+softmax is the default setting: its readout keeps the neutral activities of every block, and those grow
with depth by design.

    python tests/bench/memory.py [--json] [--depths 4,8,16,32]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH, BATCH, MIB = 512, 2048, 2**20
ARMS = ("backprop", "mono-forward", "forward-forward", "forward-forward+softmax")
FLAT = {"mono-forward": 1.05, "forward-forward": 1.05}
OF_BACKPROP = {"mono-forward": 1 / 12, "forward-forward": 1 / 6}
MEASURES = ("held", "peak", "resident", "returned")


def point(arm: str, depth: int, measure: str) -> dict[str, float]:
    """MiB of one arm at one depth, in this process; the resident peak is taken without the tracker's own memory."""
    import torch

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from bpfree import rules
    from bpfree.data import as_data
    from bpfree.training.loop import Loop
    from bpfree.training.memory import LiveMemory
    from bpfree.training.trainer import Batch

    rule, _, softmax = arm.partition("+")
    values = {"readout": "energy", "negatives": "uniform"} if rule == "forward-forward" and not softmax else {}
    torch.manual_seed(0)
    x, y = torch.rand(BATCH, WIDTH), torch.randint(10, (BATCH,))
    trainer = rules.rule(rule)(hidden=(WIDTH,) * depth, optimizer="sgd", momentum=0.0, **values)
    loop = Loop(trainer, as_data((x[:100], y[:100])), device="cpu", threads=1)
    loop.prepared_source()
    loop.training_mode()

    def two_steps() -> None:  # the first one is observed: gradient norms and dead units too
        for loop.cursor.steps in (0, 1):
            loop.learn(Batch(x, y))

    if measure != "live":
        before = resident()
        two_steps()
        return {measure: resident() - before}

    held, update = 0.0, loop.learner._update

    def watched(loss, owner) -> None:
        nonlocal held
        held = max(held, memory.live / MIB)
        update(loss, owner)

    loop.learner._update = watched
    with LiveMemory() as memory:
        two_steps()
    return {"held": held, "peak": memory.peak / MIB}


def resident() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_fresh_process(arm: str, depth: int, measure: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--point", arm, str(depth), measure]
    env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    if measure == "returned":
        env["MALLOC_MMAP_THRESHOLD_"] = str(MIB)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arm} at depth {depth} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description="Memory against depth, by rule.")
    parser.add_argument("--json", action="store_true", help="print the results as JSON and nothing else")
    parser.add_argument("--depths", default="4,8,16,32")
    parser.add_argument("--point", nargs=3, metavar=("ARM", "DEPTH", "MEASURE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(point(args.point[0], int(args.point[1]), args.point[2])))
        return 0

    depths = sorted(int(depth) for depth in args.depths.split(","))
    low, high = depths[0], depths[-1]
    if not args.json:
        print(f"MiB, width {WIDTH}, batch {BATCH}, fp32; the target is on `held`")
        print(" " * 34 + "".join(f"{f'depth {d}':>10}" for d in depths) + f"{f'{high}/{low}':>8}{'of backprop':>13}")
    found: dict[str, dict] = {}
    for arm in ARMS:
        mib: dict[str, dict] = {m: {} for m in MEASURES}
        for depth in depths:
            for run in ("live", "resident", "returned"):
                for measure, value in in_fresh_process(arm, depth, run).items():
                    mib[measure][depth] = value
        found[arm] = mib
        for m, by_depth in mib.items():
            by_depth["flat"] = by_depth[high] / by_depth[low]
            by_depth["of_backprop"] = by_depth[high] / found["backprop"][m][high]
            if not args.json:
                cells = "".join(f"{by_depth[d]:>10.1f}" for d in depths)
                share = f"1/{1 / by_depth['of_backprop']:.1f}"
                print(f"{arm if m == 'held' else '':<24}{m:<10}{cells}{by_depth['flat']:>8.3f}{share:>13}", flush=True)
    flat = all(found[arm][m]["flat"] <= limit for arm, limit in FLAT.items() for m in ("held", "peak"))
    met = flat and all(found[arm]["held"]["of_backprop"] <= limit for arm, limit in OF_BACKPROP.items())
    if args.json:
        print(json.dumps({"width": WIDTH, "batch": BATCH, "mib": found, "met": met}))
    else:
        print("target met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
