"""Linear probes: the classes, read out of the output of every block."""

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.errors import InputError
from bpfree.functional.closed_form import StreamedRidge
from bpfree.training.callbacks import Callback

if TYPE_CHECKING:
    from bpfree.training.data import Source
    from bpfree.training.loop import Loop


class Probe(Callback):
    """Accuracy of a linear readout of every block, into each epoch's entry under ``probe``.

    The readout is ridge regression onto one-hot classes, in closed form, of the output of each block while the rule
    predicts: fitted on training rows, drawn at random (of a DataLoader the first ones), evaluated on the validation
    rows. A block that does not see the samples one by one (one that the rule does not run, or runs on
    every candidate label at once) has no entry.

        W = (X'X + r I)^-1 X'Y,   X centred (N, n), Y centred (N, C),   r = ridge * trace(X'X) / n

    Args:
        rows: training rows, at most.
        width: features of a block, at most; larger maps are pooled.
        ridge: share of the mean variance that is added to each.
    """

    def __init__(self, rows: int = 10_000, width: int = 4096, ridge: float = 1e-3):
        self.rows, self.width, self.ridge = rows, width, ridge

    def on_start(self, loop: "Loop") -> None:
        if loop.data.spec.task != "classification":
            raise InputError(f"probe reads classes out of the blocks: leave it out for {loop.data.spec.task}")

    def on_epoch(self, loop: "Loop") -> None:
        train, y = self._features(loop, loop.data.train, self.rows)
        val, y_val = self._features(loop, loop.data.val, len(loop.data.val))
        loop.history[-1]["probe"] = {
            str(k): self.accuracy(train[k], y, val[k], y_val, loop.data.spec.classes or 0) for k in train
        }

    def accuracy(self, x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor, classes: int) -> float:
        """Validation accuracy of the readout.

        Args:
            x: outputs of a block ``(N, n)`` that it is fitted on.
            y: their classes ``(N,)``.
            x_val: outputs ``(M, n)`` that it is evaluated on.
            y_val: their classes ``(M,)``.
            classes: number of classes.
        """
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
            with loop.evaluator.mode():
                for batch in source.batches(loop.settings.eval_batch_size, order=order):
                    seen.clear()
                    loop.evaluator.predict(batch)
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
