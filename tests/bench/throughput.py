"""Throughput: how much of the machine's matrix-product rate does Mono-Forward reach, and what does bpfree's loop cost?

3 x 2000, batch 512, MNIST, one thread. Each round runs, interleaved (forth and back) and over the same batches,

    products  the step's forward and weight-gradient products alone, of all blocks and heads, in the dtype of the run:
              ``F.linear`` as the blocks call it, with their bias, and gradient^T @ input
    bpfree    an epoch of bpfree's loop, validation included
    plain     the same epoch of `Plain` below: the loop that one would write by hand, fused optimizer included

Ratios are of CPU seconds (other processes on the machine disturb those least), medians over the rounds:

    of rate   products per second inside ``Loop.learn`` over products per second alone
    of bare   the same over products without the bias, which is the harder yardstick (in bf16 oneDNN's adding of the
              bias costs as much as a tenth of a product); reported, not a target
    of plain  bpfree's epoch over plain's epoch

Target, on the rows of the default optimizer (adam, fused): of rate >= 0.90 in fp32, >= 0.75 in bf16; of plain <= 1.05.
Both loops start from the same weights and see the same batches, and must end with the same weights (differ by <= 1e-6):
otherwise they did not do the same work, and the row fails.

    python tests/bench/throughput.py [--json] [--rounds 3] [--rows 8192]
"""

import argparse
import copy
import json
import sys
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bpfree.data import load
from bpfree.data.sources import TensorSource
from bpfree.rules.mono_forward import MonoForward
from bpfree.training.data import Data
from bpfree.training.loop import Loop

HIDDEN, BATCH = (2000, 2000, 2000), 512
ROWS = [("fp32", "adam"), ("fp32", "sgd"), ("bf16", "adam"), ("bf16", "sgd")]
OF_RATE = {("fp32", "adam"): 0.90, ("bf16", "adam"): 0.75}
OF_PLAIN = 1.05
COLUMNS = {
    "GFLOP/s": ("rate_gflops", ".1f"),  # products alone
    "learn ms": ("learn_ms", ".1f"),  # CPU, a step
    "wall ms": ("wall_ms", ".1f"),  # epoch over steps
    "of rate": ("of_rate", ".3f"),
    "of bare": ("of_bare", ".3f"),
    "of plain": ("of_plain", ".3f"),
    "differ by": ("largest_difference", ".0e"),
}
clock = time.process_time


class Plain:
    """Mono-Forward by hand: no bpfree in it, but for the initial weights and the order of the batches."""

    def __init__(self, blocks, heads, optimizer: str, bf16: bool):
        self.blocks, self.heads, self.bf16 = blocks, heads, bf16
        self.optimizers = [
            torch.optim.Adam([*block.parameters(), *head.parameters()], lr=1e-3, fused=True)
            if optimizer == "adam"
            else torch.optim.SGD([*block.parameters(), *head.parameters()], lr=1e-3, momentum=0.9, fused=True)
            for block, head in zip(blocks, heads, strict=True)
        ]

    def epoch(self, x, y, order, x_val, y_val) -> float:
        for index in order.split(BATCH):
            h, target = x[index], y[index]
            for block, head, optimizer in zip(self.blocks, self.heads, self.optimizers, strict=True):
                with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                    h = block(h.detach())
                    loss = F.cross_entropy(head(h), target)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            h = x_val
            for block in self.blocks:
                h = block(h)
            return (self.heads[-1](h).argmax(1) == y_val).float().mean().item()


class Products:
    """The products of one Mono-Forward step and nothing else."""

    def __init__(self, dtype: torch.dtype, inputs: int, classes: int):
        shapes = [s for a, b in zip((inputs, *HIDDEN), HIDDEN, strict=False) for s in ((a, b), (b, classes))]
        self.flop = sum(2 * 2 * BATCH * a * b for a, b in shapes)
        self.terms = [(torch.randn(BATCH, a), torch.randn(b, a), torch.randn(BATCH, b)) for a, b in shapes]
        self.terms = [tuple(t.to(dtype) for t in term) for term in self.terms]
        self.bias = torch.zeros(HIDDEN[0], dtype=dtype)

    def run(self, steps: int, bias: bool) -> float:
        """CPU seconds a step."""
        start = clock()
        for _ in range(steps):
            for x, weight, gradient in self.terms:
                F.linear(x, weight, self.bias if bias and len(weight) == len(self.bias) else None)
                gradient.t() @ x
        return (clock() - start) / steps


def measure(data: Data, precision: str, optimizer: str, rounds: int) -> dict:
    """Every number of one row of the table."""
    trainer = MonoForward(
        **{"hidden": HIDDEN, "batch_size": BATCH, "epochs": 2 * rounds + 1},
        **{"optimizer": optimizer, "lr": 1e-3, "momentum": 0.9, "lr_schedule": "constant"},
    )
    loop = Loop(trainer, data, precision=precision, threads=1, device="cpu")
    bf16 = precision == "bf16"
    plain = Plain(copy.deepcopy(trainer.blocks), copy.deepcopy(trainer.heads), optimizer, bf16)
    products = Products(torch.bfloat16 if bf16 else torch.float32, data.train.x[0].numel(), data.spec.classes)
    source, steps = loop.prepared_source(), data.train.steps(BATCH)
    inside, learn = [], loop.learn

    def timed_learn(batch) -> None:
        start = clock()
        learn(batch)
        inside.append(clock() - start)

    loop.learn = timed_learn

    def bpfree_epoch() -> dict[str, float]:
        inside.clear()
        start, wall = clock(), time.perf_counter()
        loop._run_epoch(source)
        return {"bpfree": clock() - start, "wall": time.perf_counter() - wall, "learn": sum(inside) / steps}

    def plain_epoch(number: int) -> dict[str, float]:
        order = torch.randperm(len(source), generator=trainer.streams.fresh("order", number))
        start = clock()
        plain.epoch(data.train.x, data.train.y, order, data.val.x, data.val.y)
        return {"plain": clock() - start}

    def rates() -> dict[str, float]:
        return {"products": products.run(steps, bias=True), "bare": products.run(steps, bias=False)}

    bpfree_epoch(), plain_epoch(0), products.run(2, bias=True)  # optimizer state, allocator, caches
    halves = []
    for number in range(1, 2 * rounds + 1, 2):
        forth = rates(), bpfree_epoch(), plain_epoch(number)
        back = plain_epoch(number + 1), bpfree_epoch(), rates()
        halves += [{k: v for part in half for k, v in part.items()} for half in (forth, back)]
    both = [{k: one[k] + two[k] for k in one} for one, two in zip(halves[::2], halves[1::2], strict=True)]
    theirs = [*plain.blocks.parameters(), *plain.heads.parameters()]
    ours = [*trainer.blocks.parameters(), *trainer.heads.parameters()]
    return {
        "precision": precision,
        "optimizer": optimizer,
        "rate_gflops": products.flop / median(h["products"] for h in halves) / 1e9,
        "learn_ms": 1e3 * median(h["learn"] for h in halves),
        "wall_ms": 1e3 * median(h["wall"] for h in halves) / steps,
        "of_rate": median(r["products"] / r["learn"] for r in both),
        "of_bare": median(r["bare"] / r["learn"] for r in both),
        "of_plain": median(r["bpfree"] / r["plain"] for r in both),
        "largest_difference": max((p - q).abs().max().item() for p, q in zip(ours, theirs, strict=True)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Mono-Forward against the matrix-product rate and a plain loop.")
    parser.add_argument("--json", action="store_true", help="print the results as JSON and nothing else")
    parser.add_argument("--rounds", type=int, default=3, help="of six timed stretches each")
    parser.add_argument("--rows", type=int, default=8192, help="training images of an epoch")
    args = parser.parse_args()
    torch.set_num_threads(1)
    mnist = load("mnist").to("cpu", 4096)
    train, val = (TensorSource(s.x[:n].flatten(1), s.y[:n]) for s, n in ((mnist.train, args.rows), (mnist.val, BATCH)))
    data = Data(mnist.spec, train, val)
    if not args.json:
        print(f"3 x 2000, batch {BATCH}, {args.rows} images an epoch, 1 thread, medians of {args.rounds} rounds")
        print(f"{'':<9}{'':<6}" + "".join(f"{name:>10}" for name in COLUMNS))
    found = []
    for precision, optimizer in ROWS:
        row = measure(data, precision, optimizer, args.rounds)
        row["met"] = row["of_rate"] >= OF_RATE.get((precision, optimizer), 0) and row["of_plain"] <= OF_PLAIN
        row["met"] = row["met"] and row["largest_difference"] <= 1e-6
        row["target"] = (precision, optimizer) in OF_RATE
        found.append(row)
        if not args.json:
            verdict = "" if not row["target"] else "target met" if row["met"] else "TARGET MISSED"
            cells = "".join(f"{row[key]:>10{form}}" for key, form in COLUMNS.values())
            print(f"{precision:<9}{optimizer:<6}{cells}  {verdict}", flush=True)
    if args.json:
        print(json.dumps(found))
    return 0 if all(row["met"] for row in found if row["target"]) else 1


if __name__ == "__main__":
    sys.exit(main())
