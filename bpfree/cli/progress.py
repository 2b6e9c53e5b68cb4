"""Progress of a run on the screen."""

import time
from math import ceil
from typing import TYPE_CHECKING, Any

from bpfree.training.callbacks import Callback

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from bpfree.training.loop import Loop


class Progress(Callback):
    """Progress of a run: a live line in a terminal, else plain lines, one an epoch or 200 in all, on standard error.

    Args:
        console: to write to; None: standard error.
    """

    period_s = 0.2  # between two refreshes of the live line
    most_lines = 200

    def __init__(self, console: "Console | None" = None):
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.bar: Bar | None = None
        self.task: Any = None
        self.next_s = 0.0
        self.began_s = 0.0
        self.began_at = 0.0

    def on_start(self, loop: "Loop") -> None:
        self.began_s, self.began_at = time.perf_counter(), _done(loop)
        if self.console.is_terminal:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.percentage:>3.0f}%"))
            self.bar = Bar(*columns, console=self.console, auto_refresh=False, transient=True)
            self.task = self.bar.add_task("", total=1.0)
            self.bar.start()
            self._refresh(loop)

    def on_batch(self, loop: "Loop") -> None:
        if self.bar is not None and time.perf_counter() >= self.next_s:
            self._refresh(loop)

    def on_epoch(self, loop: "Loop") -> None:
        if self.bar is None and self._due(loop):
            self._say(self._line(loop))
        if loop.early.done and loop.cursor.epoch < loop.trainer.phase.epochs:
            metric, waited = loop.data.spec.metric, loop.early.waited
            text = f"validation {metric} has not improved for {waited} epochs: stopping"
            phase = f"{loop.trainer.phase.name}: " if len(loop.phases) > 1 else ""
            self._say(phase + text)

    def on_end(self, loop: "Loop") -> None:
        self.close()

    def close(self) -> None:
        """Take the live line away; also after a failure."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _due(self, loop: "Loop") -> bool:
        """True for the epochs that get a plain line: all of them, or 200 evenly spaced ones and the last."""
        epochs, total = loop.cursor.epochs, sum(phase.epochs for phase in loop.phases)
        return epochs % ceil(total / self.most_lines) == 0 or epochs == total or loop.early.done

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)

    def _refresh(self, loop: "Loop") -> None:
        assert self.bar is not None
        self.bar.update(self.task, description=self._line(loop), completed=_done(loop))
        self.bar.refresh()
        self.next_s = time.perf_counter() + self.period_s

    def _line(self, loop: "Loop") -> str:
        total = sum(phase.epochs for phase in loop.phases)
        parts = [f"epoch {loop.cursor.epochs}/{total}"]
        if len(loop.phases) > 1:
            parts.append(loop.trainer.phase.name)
        if loop.history:
            entry = loop.history[-1]
            form = "{:.2%}" if loop.data.spec.metric == "accuracy" else "{:.4g}"
            parts.append(f"val {form.format(entry['val'])} (best {form.format(entry['best'])})")
            losses = [f"{k}:{value:.3g}" for k, value in entry["loss"].items()]
            parts.append("loss " + " ".join(losses if len(losses) <= 8 else [*losses[:4], "…", *losses[-3:]]))
        done = _done(loop) - self.began_at
        if done > 0:
            left_s = (time.perf_counter() - self.began_s) * (1 - _done(loop)) / done
            parts.append(f"ETA {clock(left_s)}")
        return "  ".join(parts)


def _done(loop: "Loop") -> float:
    """Share of the planned epochs that is done, 0..1; a phase that stopped early counts as complete."""
    cursor = loop.cursor
    before = sum(phase.epochs for phase in loop.phases[: cursor.phase])
    within = cursor.batch / loop.batches
    return min(1.0, (before + cursor.epoch + within) / sum(phase.epochs for phase in loop.phases))


def clock(seconds: float) -> str:
    """``75.2`` as ``1:15``, hours in front when there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
