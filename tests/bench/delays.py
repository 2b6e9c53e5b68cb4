"""Cost of delays: a training step by way of the Fourier basis against direct convolution, and memory against depth.

One run, one thread, random spikes at the density of the cochlea model (0.2), the paper's net for SHD: 140 channels,
hidden 256-256, 20 classes, 100 steps, 25 taps, right padding, batch 256. A step is forward, backward and both owners'
Adam; every arm has the same batch norm, LIF and loss, and takes turns with the others; the least CPU time counts.

    fourier, direct   delay-snn with the exact path forced; `bpfree.functional.delays.convolve` chooses fourier here
    spikingjelly      delay-snn by fourier with spikingjelly's neurons, where it is installed
    none              the same net without delays
    dcls layer        forward and backward of the dcls library's 140 -> 256 layer against this package's, where it is
                      installed, both with the paper's padding and Gauss kernel

Target: fourier at least 2.5 times as fast as direct. Memory (``--memory``): the peak of new tensors of a step, meta
device, causal padding, hidden layers of 256; target: delay-snn-local at depth 16 at most 1.05 times depth 4.

    python tests/bench/delays.py [--json] [--steps 3] [--memory]
"""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import bpfree.functional.delays as delays  # noqa: E402
from bpfree import rules  # noqa: E402
from bpfree.data.sources import TensorSource  # noqa: E402
from bpfree.nets.delay_snn import Settings, Synapses  # noqa: E402
from bpfree.training.data import Data, Spec  # noqa: E402
from bpfree.training.loop import Loop  # noqa: E402
from bpfree.training.memory import LiveMemory  # noqa: E402
from bpfree.training.trainer import Batch  # noqa: E402

STEPS, CHANNELS, CLASSES, BATCH, DENSITY = 100, 140, 20, 256, 0.2
TARGET, FLAT = 2.5, 1.05
PATHS = {"fourier": delays.fourier_convolution, "direct": delays.direct_convolution}


def batch_of() -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(BATCH, STEPS, CHANNELS, generator=generator) < DENSITY).float()
    return Batch(x, torch.arange(BATCH) % CLASSES)


def loop_of(algo: str, device: str = "cpu", **values: Any) -> tuple[Loop, Batch]:
    batch = batch_of()
    spec = Spec("bench", (STEPS, CHANNELS), CLASSES, None, "classification", "accuracy", True, "", "")
    source = TensorSource(batch.x, batch.y)
    values = {
        "hidden": (256, 256),
        "max_delay_ms": 250,
        "padding": "right",
        "start_width": None,
        "dropout": 0.4,
        **values,
    }
    loop = Loop(rules.rule(algo)(net="delay-snn", **values), Data(spec, source, source), device=device, threads=1)
    loop.prepared_source()
    loop.training_mode()
    return loop, Batch(batch.x.to(device), batch.y.to(device))


def step_of(path: str = "fourier", **values: Any) -> Callable[[], None]:
    """One training step with the convolution forced to a path."""
    loop, batch = loop_of("delay-snn", **values)
    loop.cursor.steps = 1  # no step is observed

    def step() -> None:
        delays.fourier_is_cheaper = lambda *shape: path == "fourier"  # type: ignore[assignment]
        loop.learn(batch)

    return step


def layers() -> dict[str, Callable[[], None]]:
    """Forward and backward of one layer, 140 -> 256: this package's, and dcls's if there."""
    x = batch_of().x.transpose(0, 1).contiguous()  # (T, B, N)
    mine = Synapses(CHANNELS, 256, Settings())
    found = {"this layer": lambda: mine(x).sum().backward()}
    if importlib.util.find_spec("DCLS"):
        from DCLS.construct.modules import Dcls1d  # type: ignore[import-not-found]

        theirs = Dcls1d(CHANNELS, 256, kernel_count=1, dilated_kernel_size=25, bias=False, version="gauss")
        padded = torch.nn.functional.pad(x.permute(1, 2, 0), (24, 12)).contiguous()
        found["dcls layer"] = lambda: theirs(padded).sum().backward()
    return found


def best_of(arms: dict[str, Callable[[], None]], times: int) -> dict[str, float]:
    """The least CPU time of each in s; they take turns, after one call that does not count."""
    best = dict.fromkeys(arms, float("inf"))
    for turn in range(times + 1):
        for name, call in arms.items():
            began = time.process_time()
            call()
            if turn:
                best[name] = min(best[name], time.process_time() - began)
    return best


def peak_mib(algo: str, depth: int) -> float:
    loop, batch = loop_of(algo, "meta", hidden=(256,) * depth, padding="causal")
    loop.learn(batch)  # for the optimizer's state
    loop.cursor.steps = 1
    with LiveMemory() as memory:
        loop.learn(batch)
    return memory.peak / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--steps", type=int, default=3, help="steps of every arm, the best of which counts")
    parser.add_argument("--memory", action="store_true", help="memory against depth instead of time")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if given.memory:
        mib = {algo: {d: peak_mib(algo, d) for d in (2, 4, 8, 16)} for algo in ("delay-snn", "delay-snn-local")}
        local = mib["delay-snn-local"]
        ratios = {"delay-snn-local, depth 16 / 4": (local[16] / local[4], FLAT)}
        met = local[16] <= FLAT * local[4]
        rows: Any = mib
    else:
        chosen = delays.fourier_is_cheaper
        assert chosen(STEPS, BATCH, CHANNELS, 256, 25, 112)
        arms = {path: step_of(path) for path in PATHS} | {"none": step_of(delays="none")}
        if importlib.util.find_spec("spikingjelly"):
            arms["spikingjelly"] = step_of(neuron="spikingjelly")
        rows = best_of(arms, given.steps)
        delays.fourier_is_cheaper = chosen
        single = best_of(layers(), given.steps)
        ratios = {"direct / fourier": (rows["direct"] / rows["fourier"], TARGET)}
        ratios |= {f"{name} / fourier": (rows[name] / rows["fourier"], 0.0) for name in rows if name not in PATHS}
        if "dcls layer" in single:
            ratios["dcls layer / this layer"] = (single["dcls layer"] / single["this layer"], 0.0)
        rows, met = rows | single, ratios["direct / fourier"][0] >= TARGET
    if given.json:
        print(json.dumps({"rows": rows, "ratios": {name: value for name, (value, _) in ratios.items()}, "met": met}))
        return 0 if met else 1
    for name, row in rows.items():
        print(f"{name:18}", row if isinstance(row, float) else {d: round(v, 1) for d, v in row.items()})
    for name, (value, target) in ratios.items():
        print(f"{name:32} {value:6.2f}" + (f"  target {target}" if target else ""))
    print("target met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
