"""Runs that are killed again and again with SIGKILL, and resumed each time.

A run lives in a process of its own and tells its parent of every moment: a batch done, a phase begun, a file about to
be synced to disk (``checkpoint_every=0`` saves after every batch). The parent lets a random number of moments pass, or
fewer the first time that the run comes from one phase to the next, waits up to three milliseconds more, and kills it.
"""

import contextlib
import json
import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked

TIMEOUT_S = 120
MOMENTS = (1, 45)  # that pass before a kill; a step has about seven, a beginning six
DELAY_S = 0.003
KINDS = {b"b": "after a batch", b"p": "between phases", b"s": "in a checkpoint"}


@dataclass(frozen=True)
class Report:
    """Kills, counted by the last moment before each, and the finished run."""

    kills: Counter
    outcome: dict[str, Any]


def outcome(folder: Path) -> dict[str, Any]:
    """Results of a run, without its times: the bytes of the model, the record's result, the history."""
    record = json.loads((folder / "run.json").read_text())
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {
        "status": record["status"],
        "model": (folder / "model.safetensors").read_bytes(),
        "predictions": record["result"]["predictions_sha256"],
        "history": [
            {key: value for key, value in entry.items() if key not in ("train_s", "train_j")} for entry in history
        ],
    }


def live(folder: Path, algo: str, values: dict[str, Any], moments: Any = None) -> None:
    """Begin the run in ``folder``, or go on with it, to its end; reports its progress to ``moments``."""
    import torch
    from small import tiny

    from bpfree.runs.train import train

    torch.set_num_threads(1)

    class Tell:
        def on_batch(self, loop: Any) -> None:
            tell(b"b")

        def on_phase(self, loop: Any) -> None:
            if loop.cursor.phase > 0 and loop.cursor.epoch == 0 and loop.cursor.batch == 0:
                tell(b"p")

    def tell(what: bytes) -> None:
        if moments is not None:
            moments.send_bytes(what)

    sync = os.fsync

    def fsync(handle: int) -> None:
        tell(b"s")
        sync(handle)

    where = {"resume": folder} if folder.exists() else {"out": folder}
    os.fsync = fsync
    try:
        train(
            algo,
            tiny(),
            **where,
            meter="none",
            callbacks=[Tell()],
            device="cpu",
            threads=1,
            checkpoint_every=0,
            **values,
        )
    finally:
        os.fsync = sync


def survive(folder: Path, algo: str, values: dict[str, Any], kills: int, seed: int) -> Report:
    """Kill a run ``kills`` times, then let it finish.

    Raises:
        RuntimeError: it ended before, or died of something else.
    """
    context = forked.context()
    rng, struck = random.Random(seed), Counter()
    for left in range(kills, -1, -1):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=live, args=(folder, algo, values, send))
        process.start()
        send.close()
        if left:
            last = _wait(receive, rng.randint(*MOMENTS), until=b"" if struck[KINDS[b"p"]] else b"p")
            time.sleep(rng.uniform(0, DELAY_S))
            process.kill()
            struck[KINDS[last]] += 1
        else:
            with contextlib.suppress(EOFError):
                while True:
                    receive.recv_bytes()
        process.join(TIMEOUT_S)
        if process.exitcode != (-9 if left else 0):
            raise RuntimeError(f"{algo} ended with {process.exitcode} with {left} kills left")
        if not (folder / "config.yaml").exists():  # killed before the run was one
            shutil.rmtree(folder, ignore_errors=True)
    return Report(struck, outcome(folder))


def _wait(receive: Any, moments: int, until: bytes) -> bytes:
    """Let so many moments pass, or fewer when one of the kind ``until`` comes; the last of them."""
    what = b""
    for _ in range(moments):
        if not receive.poll(TIMEOUT_S):
            raise RuntimeError("nothing happens in the run")
        what = receive.recv_bytes()
        if what == until:
            break
    return what
