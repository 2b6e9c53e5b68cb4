"""A run that was killed at any point goes on as if it never had been: weights, predictions and history bit for bit."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from small import loop_of, make, outcome, tiny
from table import ROWS, Row, rows

from bpfree.training.loop import Loop
from bpfree.training.run_folder import CONFIG, LAST, RunFolder

BATCHES = 3  # of every epoch of a tiny run


class Killed(Exception):
    """The fault that is planted."""


class Fault:
    """A callback that ends the run at the ``count``-th call of ``hook``: by raising, or by asking it to stop."""

    def __init__(self, hook: str, count: int, stop: bool = False):
        self.left, self.stop = count, stop
        setattr(self, hook, self.strike)

    def strike(self, loop: Loop) -> None:
        self.left -= 1
        if self.left == 0:
            if not self.stop:
                raise Killed
            loop.stop("asked to")


POINTS = {
    "before the first checkpoint": lambda phases, steps: Fault("on_batch", 1),
    "within an epoch": lambda phases, steps: Fault("on_batch", BATCHES + 2),
    "after the last batch of an epoch": lambda phases, steps: Fault("on_batch", BATCHES + 1),
    "after a validation": lambda phases, steps: Fault("on_epoch", 1),
    "between the phases": lambda phases, steps: Fault("on_phase", phases),
    "within the last phase": lambda phases, steps: Fault("on_batch", steps - 1),
    "asked to stop within an epoch": lambda phases, steps: Fault("on_batch", BATCHES + 2, stop=True),
}


def run(row: Row, path: Path | None = None, callbacks: Any = (), resume: bool = False) -> Loop:
    """A tiny run that saves after every batch when it has a folder."""
    folder = None if path is None else RunFolder(path, resume)
    if folder is not None:
        (path / CONFIG).touch()
    loop = loop_of(make(row.algo, **row.tiny), tiny(), seed=3, folder=folder, callbacks=callbacks, checkpoint_every=0.0)
    try:
        loop.run()
    finally:
        if folder is not None:
            folder.close()
    return loop


@lru_cache
def unbroken(algo_and_variant: str) -> tuple[dict[str, Any], int, int]:
    """The outcome, the phases and the steps of a run."""
    loop = run(ROWS[algo_and_variant])
    return outcome(loop), len(loop.phases), loop.cursor.steps


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", ROWS)
def test_resume_is_exact(name: str, point: str, tmp_path: Path):
    expected, phases, steps = unbroken(name)
    fault = POINTS[point](phases, steps)
    try:
        run(ROWS[name], tmp_path / "run", [fault])
    except Killed:
        pass
    assert fault.left == 0
    assert outcome(run(ROWS[name], tmp_path / "run", resume=True)) == expected


@rows()
def test_a_finished_run_that_is_resumed_trains_no_further(row: Row, tmp_path: Path):
    first = run(row, tmp_path / "run")
    again = run(row, tmp_path / "run", resume=True)
    assert (outcome(again), again.cursor.steps) == (outcome(first), first.cursor.steps)


@rows()
def test_a_checkpoint_on_disk_is_a_whole_state(row: Row, tmp_path: Path):
    """It loads with ``weights_only=True`` and holds every parameter and buffer of the net."""
    from bpfree.training import checkpoint

    loop = run(row, tmp_path / "run")
    saved = checkpoint.read(tmp_path / "run" / LAST)["model"]
    state = loop.trainer.state_dict()
    assert saved.keys() == state.keys()
    assert [name for name in state if not saved[name].equal(state[name])] == []
