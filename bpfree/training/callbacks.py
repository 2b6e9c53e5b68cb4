"""Callbacks: they watch a run and may ask it to stop; they never steer it.

A callback is any object with some of the methods of `Callback`. Every method gets the `bpfree.training.loop.Loop`: read
``loop.cursor`` (the place the run has reached), ``loop.history`` (one entry an epoch), ``loop.trainer``,
``loop.data.spec``; call ``loop.stop(reason)`` to end the run after the current batch, with everything saved.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bpfree.training.loop import Loop


class Callback:
    """All hooks, each doing nothing."""

    def on_start(self, loop: "Loop") -> None:
        """Training begins; when it was resumed, its state is back."""

    def on_phase(self, loop: "Loop") -> None:
        """A phase begins, or goes on after a resume: ``loop.trainer.phase``."""

    def on_batch(self, loop: "Loop") -> None:
        """A batch is done. Runs inside the metered training window: keep it cheap."""

    def on_epoch(self, loop: "Loop") -> None:
        """An epoch and its validation are done; ``loop.history[-1]`` is its entry."""

    def on_end(self, loop: "Loop") -> None:
        """The run is over, or was stopped (``loop.stop_reason``), and is saved."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
