"""Random features: only the last layer learns. The control that training the layers below has to beat.

Rahimi, Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007; as a frozen net with a trained readout, the
"extreme learning machine" of Huang, Zhu, Siew, Neurocomputing 70, 2006. The hidden blocks stay as they were drawn:

    h = f_{K-1}(... f_1(x)),   L = CE(f_K(h), y),   only f_K is trained

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
f_k, k < K    ``blocks[:-1]``         frozen
f_K           ``blocks[-1]``          (B, n_{K-1}) -> (B, C)
============  ======================  ==========

Tasks: classification; regression, by the mean squared error.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``.
Batch normalisation in the frozen blocks gets its statistics in a pass of its own (phase ``blocks``, `_calibration`).
Differences from the paper: the readout descends cross-entropy like every other rule here, under the same early stop;
the papers solve least squares.
Costs: the random features are computed once if they fit into ``cache_mb``; then a step is one linear map.
"""

from collections.abc import Hashable, Iterator

from torch import Tensor, nn

from bpfree.rules._calibration import calibrate, norms
from bpfree.rules.backprop import LOSSES
from bpfree.training.trainer import Batch, Local, Phase, Trainer


class RandomFeatures(Trainer):
    """A linear classifier on the outputs of the untrained net."""

    tasks = ("classification", "regression")
    prefer = {"lr": 1e-2}
    because = {("lr",): "a linear readout alone is convex and takes larger steps; at 0.001 it is far from done"}

    def setup(self) -> None:
        self.batches = 0  # of the pass so far

    def untouched(self) -> list[nn.Parameter]:
        return list(self.blocks[:-1].parameters())

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        return {"readout": list(self.blocks[-1].parameters())}

    def phases(self, epochs: int) -> list[Phase]:
        last = len(self.blocks) - 1
        first = [Phase("blocks", range(last), 1, restart=True)] if norms(self.blocks[:-1]) else []
        return [*first, Phase("readout", (last,), epochs)]

    def on_pass(self) -> None:
        self.batches = 0

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        if self.phase.name == "blocks":
            if not batch.padding:
                self.batches += 1
                hidden = self.blocks[:-1]
                calibrate(hidden, norms(hidden), self.batches, lambda: batch.after(hidden))
            return
        yield Local(LOSSES[self.spec.task](self.blocks[-1](batch.x), batch.y), owner="readout")

    def predict(self, batch: Batch) -> Tensor:
        return batch.after(self.blocks)
