"""Callbacks: they watch a run and may ask it to stop; they never steer it.

A callback is any object with some of the methods of `Callback`. Every method gets the `bpfree.training.loop.Loop`: read
``loop.cursor`` (where the run is), ``loop.history`` (one entry an epoch), ``loop.trainer``, ``loop.data.spec``; call
``loop.stop(reason)`` to end the run after the current batch, with everything saved.
"""

import json
import math
import time
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.errors import RunFailed
from bpfree.functional.closed_form import StreamedRidge
from bpfree.training.checkpoint import HISTORY, RunFolder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from bpfree.training.data import Source
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


class HistoryFile(Callback):
    """``history.jsonl`` grows by one line an epoch; after a resume it starts again from the checkpoint's history."""

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def on_start(self, loop: "Loop") -> None:
        self.folder.write_history(loop.history)

    def on_epoch(self, loop: "Loop") -> None:
        try:
            with (self.folder.path / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(loop.history[-1]) + "\n")
        except OSError as error:
            raise RunFailed(f"could not write {HISTORY}: {error.strerror}; checkpoints are kept") from error


class Probe(Callback):
    """Accuracy of a linear readout of every block, into each epoch's entry under ``probe``.

    The readout is ridge regression onto one-hot classes, in closed form, of what each block puts out while the rule
    predicts: fitted on at most ``rows`` training rows, drawn at random (of a DataLoader the first ones), judged on the
    validation rows. Large maps are pooled to at most
    ``width`` features. A block that does not see the samples one by one (one that the rule does not run, or runs on
    every candidate label at once) has no entry.

        W = (X'X + r I)^-1 X'Y,   X centred (N, n), Y centred (N, C),   r = ridge * trace(X'X) / n
    """

    def __init__(self, rows: int = 10_000, width: int = 4096, ridge: float = 1e-3):
        self.rows, self.width, self.ridge = rows, width, ridge

    def on_epoch(self, loop: "Loop") -> None:
        train, y = self._features(loop, loop.data.train, self.rows)
        val, y_val = self._features(loop, loop.data.val, len(loop.data.val))
        loop.history[-1]["probe"] = {
            str(k): self.accuracy(train[k], y, val[k], y_val, loop.data.spec.classes or 0) for k in train
        }

    def accuracy(self, x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor, classes: int) -> float:
        """Validation accuracy of the readout fitted on ``x (N, n)``, ``y (N,)``."""
        targets = F.one_hot(y, classes).to(x.dtype)
        mean, base = x.mean(0), targets.mean(0)
        fit = StreamedRidge(x.shape[1], classes)
        fit.add(x - mean, targets - base)
        dead = bool((x == x[0]).all())  # then nothing can be read, and every row is of the most frequent class
        weights = x.new_zeros(x.shape[1], classes) if dead else fit.solve(self.ridge).to(x.dtype)  # (n, C)
        return ((x_val - mean) @ weights + base).argmax(1).eq(y_val).double().mean().item()

    def _features(self, loop: "Loop", source: "Source", rows: int) -> tuple[dict[int, Tensor], Tensor]:
        """Outputs ``(N, n_k)`` of every block for ``rows`` random rows of ``source`` at most, and their classes."""
        seen: dict[int, Tensor] = {}
        kept: dict[int, list[Tensor]] = {}
        targets: list[Tensor] = []
        blocks = list(enumerate(loop.trainer.blocks or ()))
        order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:rows]
        handles = [block.register_forward_hook(lambda m, i, out, k=k: seen.update({k: out})) for k, block in blocks]
        try:
            with loop.evaluating():
                for batch in source.batches(loop.settings.eval_batch_size, order=order):
                    seen.clear()
                    loop.predict(batch)
                    for k, out in seen.items():
                        if len(out) == len(batch.x):
                            kept.setdefault(k, []).append(self._flat(out).float())
                    targets.append(batch.y)  # type: ignore[arg-type]
                    if sum(map(len, targets)) >= rows:
                        break
        finally:
            for handle in handles:
                handle.remove()
        return {k: torch.cat(parts)[:rows] for k, parts in sorted(kept.items())}, torch.cat(targets)[:rows]

    def _flat(self, out: Tensor) -> Tensor:
        """``(B, n)``; maps are averaged over patches until they have at most ``width`` features."""
        if out.dim() == 4 and out[0].numel() > self.width:
            side = max(1, math.isqrt(self.width // out.shape[1]))
            out = F.adaptive_avg_pool2d(out, side)
        return out.flatten(1)


class Progress(Callback):
    """How far a run is: a live line in a terminal, else one plain line an epoch, on standard error.

    Args:
        console: where to; None: standard error.
    """

    period_s = 0.2  # between two refreshes of the live line

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
        if self.bar is None:
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
            show = "{:.2%}" if loop.data.spec.metric == "accuracy" else "{:.4g}"
            parts.append(f"val {show.format(entry['val'])} (best {show.format(entry['best'])})")
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
    within = cursor.batch / loop.data.train.steps(loop.rule.batch_size)
    return min(1.0, (before + cursor.epoch + within) / sum(phase.epochs for phase in loop.phases))


def clock(seconds: float) -> str:
    """``75.2`` as ``1:15``, hours in front when there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
