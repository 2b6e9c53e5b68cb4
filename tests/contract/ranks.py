"""One process of a distributed run: it fits every separable row on N digits and keeps their states."""

from pathlib import Path

import torch
import torch.distributed as dist
from small import loop_of, make, snapshot, tiny
from table import ROWS, SEPARATE, Row

from bpfree.training.loop import Loop


def separable() -> dict[str, Row]:
    return {name: row for name, row in ROWS.items() if SEPARATE not in row.but}


def fitted(row: Row, n: int) -> Loop:
    """Two epochs of batches of 4 on n rows, in double precision."""
    loop = loop_of(make(row.algo, **{**row.tiny, "batch_size": 4}), tiny(n), precision="fp64")
    loop.run()
    return loop


def rank_of(rank: int, world: int, folder: Path, n: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    states = {name: snapshot(fitted(row, n).trainer) for name, row in separable().items()}
    torch.save(states, folder / f"rank{rank}.pt")
    dist.destroy_process_group()
