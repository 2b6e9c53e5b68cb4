"""Cascaded Forward: a linear predictor is fitted on every block, and the blocks are random or trained by DFA.

Zhao, Wang, Li, Jin, Lang, Ling, "The Cascaded Forward Algorithm for Neural Network Training", arXiv 2303.09728. First
the blocks are made (``variant``), then predictors are fitted one after another on what the fixed blocks put out:

    h_k = f_k(h_{k-1}),   s_k = W_k h_k,   prediction = argmax sum_k softmax(s_k)

    mse        W_k = Y^T H_k (H_k^T H_k + lam I)^-1,   lam = ridge * mean square of a feature, summed over the samples
    ce         dL/dW_k = (softmax(H_k W_k^T) - Y)^T H_k / B
    sparsemax  dL/dW_k = (sparsemax(H_k W_k^T) - Y)^T H_k / B; the prediction sums sparsemax(s_k)

Direct feedback alignment (``variant=dfa``) takes two passes a step, the first without a graph:

    e = (softmax(A h_L + a) - Y) / B,   dL/dh_k = e B_k for k < L, into the parameters of block k alone

and the last block descends the cross-entropy of A h_L + a; A and a are not used afterwards.

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
f_k           ``blocks[k]``           (B, …) -> (B, …), n_k features
W_k           ``heads[k]``            (C, n_k), no bias, zero at first
B_k           ``feedback_k``          (C, n_k), rows of length 1, fixed; only with ``dfa``
A, a          ``aux``                 (C, n_L), (C,); only with ``dfa``
============  ======================  ==========

Tasks: classification, of rows or of the nodes of a graph; regression, where Y are the numbers, predictors are solved
(mse), the prediction is the mean of the s_k, and e = 2 (A h_L + a - Y) / (B T).
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``.
On a graph the blocks see all nodes, the predictors those of ``batch.y``.
Batch normalisation of random blocks: one pass over the training data (phase ``blocks``, `_calibration`), in the seed's
order of rows, gives it its statistics, which are fixed from then on, for the fit as for validation and test. The pass
has no predictor yet, so its validation scores are all equal. The released code normalises the whole test set by its own
statistics instead.
Differences from the paper: mse has a ridge; ce and sparsemax take minibatches (the released code takes the whole
training set in each of 5000 steps of size 0.01), and a predictor keeps the state with which the sum so far is best on
validation data. The released code has no DFA: this is the published re-implementation's, with e divided by B, without
its pass through all blocks, its predictors' biases and its sum of logits (``readout=logits`` has that one).
Costs: dfa two forward passes a step and one backward, of a block at a time; predictors none when the features of the
fixed blocks are cached (``cache_mb``), else one; one pass over the data for each mse predictor. One forward pass a
prediction. sum_k C·n_k extra parameters, all used at inference; mse holds 16 n_k^2 bytes while it solves.
"""

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional.closed_form import StreamedRidge
from bpfree.functional.feedback import feedback_matrix, output_error, pull_back, rehearse
from bpfree.functional.precision import outside_autocast
from bpfree.functional.sparsemax import sparsemax, sparsemax_loss
from bpfree.rules._calibration import calibrate, norms
from bpfree.rules._ridge import solve, target_columns
from bpfree.rules.backprop import LOSSES
from bpfree.training.optimizers import OptimSettings
from bpfree.training.trainer import Batch, Local, Phase, RuleSettings, Trainer


@settings
class Settings(RuleSettings):
    variant: Literal["random", "dfa"] = setting("random", "blocks: random and fixed, or trained by feedback alignment")
    predictor: Literal["mse", "ce", "sparsemax"] | None = setting(
        None, "loss of the predictors; mse is solved in closed form; none: ce for classes, mse for numbers"
    )
    readout: Literal["softmax", "logits"] = setting("softmax", "sum over the predictors of probabilities or of scores")
    ridge: float = setting(0.1, "lambda of mse over the mean diagonal of H^T H", ge=0, search=(1e-3, 10.0, "log"))
    block_epochs: int = setting(20, "epochs of feedback alignment", ge=1)
    block_optimizer: Literal["adam", "sgd"] = setting("adam", "optimizer of the blocks")
    block_lr: float = setting(3e-4, "learning rate of the blocks", gt=0, search=(2e-5, 5e-4, "log"))
    block_decay: float = setting(0.0, "weight decay of the blocks", ge=0)


class Cafo(Trainer):
    """Predictors on random or separately trained blocks."""

    Settings = Settings
    tasks = ("classification", "regression", "node-classification")
    hidden_only = True
    overlap = True
    image_net = "cnn"
    prefer = {"channels": (32, 64, 128), "pool": "max", "norm": "after-pool"}

    @property
    def readouts(self) -> tuple[str, ...]:
        return ("softmax", "logits") if self.spec.classes else ()

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 2 if self.settings.variant == "dfa" else 1, 1

    def setup(self) -> None:
        self.predictor = self.settings.predictor or ("ce" if self.spec.classes else "mse")
        if not self.spec.classes and self.predictor != "mse":
            raise InputError(f"predictor = {self.predictor} is for classes: use mse for {self.spec.task}")
        (outputs,) = self.spec.outputs
        self.sums: StreamedRidge | None = None  # of the pass that an mse predictor is solved from
        self.batches = 0  # of the pass so far
        self.heads.extend(nn.Linear(n, outputs, bias=False) for n in self.features)
        for head in self.heads.parameters():
            nn.init.zeros_(head)
        self.heads.requires_grad_(self.predictor != "mse")
        if self.settings.variant == "dfa":
            self.aux = nn.Linear(self.features[-1], outputs)
            nn.init.zeros_(self.aux.bias)
            for k, n in enumerate(self.features[:-1]):
                self.register_buffer(f"feedback_{k}", feedback_matrix(outputs, n))

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        owners: dict[Hashable, list[nn.Parameter]] = {}
        if self.settings.variant == "dfa":
            owners = {k: [*block.parameters()] for k, block in enumerate(self.blocks)}
            owners[len(self.blocks) - 1] += self.aux.parameters()
        if self.predictor != "mse":
            owners |= {f"predictor {k}": [*head.parameters()] for k, head in enumerate(self.heads)}
        return owners

    def untouched(self) -> list[nn.Parameter]:
        return [] if self.settings.variant == "dfa" else list(self.blocks.parameters())

    def solved(self) -> list[nn.Parameter]:
        return list(self.heads.parameters()) if self.predictor == "mse" else []

    def optim(self, owner: Hashable) -> OptimSettings:
        options = self.settings
        if not isinstance(owner, int):
            return options
        return replace(
            options, optimizer=options.block_optimizer, lr=options.block_lr, weight_decay=options.block_decay
        )

    def phases(self, epochs: int) -> list[Phase]:
        every, solve = range(len(self.blocks)), self.predictor == "mse"
        first: list[Phase] = []
        if self.settings.variant == "dfa":
            first = [Phase("blocks", every, self.settings.block_epochs)]
        elif norms(self.blocks):
            first = [Phase("blocks", every, 1, restart=True)]
        passes = 1 if solve else epochs  # one that is solved has nothing to gain from a cache
        fits = [Phase(f"predictor {k}", (k,), passes, fixed=not solve, frozen=k + 1, restart=solve) for k in every]
        return [*first, *fits]

    def on_pass(self) -> None:
        self.batches, self.sums = 0, None
        if self.phase.name != "blocks" and self.predictor == "mse":
            self.sums = StreamedRidge(self.features[self.phase.blocks[0]], *self.spec.outputs)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        if self.phase.name == "blocks":
            if self.settings.variant == "dfa":
                yield from self.align(batch)
            elif not batch.padding:
                self.batches += 1
                calibrate(self.blocks, norms(self.blocks), self.batches, lambda: batch.after(self.blocks))
            return
        (k,) = self.phase.blocks
        if self.sums is None:
            loss = sparsemax_loss if self.predictor == "sparsemax" else F.cross_entropy
            yield Local(loss(self.scores(k, batch.read(batch.x)), batch.y), owner=self.phase.name)
        elif not batch.padding:
            self.sums.add(batch.read(batch.x).flatten(1), target_columns(batch.y, self.spec))

    def align(self, batch: Batch) -> Iterator[Local]:
        """A step of direct feedback alignment."""
        scores = self.aux(batch.read(rehearse(self.blocks, batch.x, batch.through)).flatten(1))
        error = output_error(scores, batch.y)  # (B, C) or (B, T)
        *below, (last, top) = self.active
        h = batch.x
        for k, block in below:
            h = batch.through(block, h.detach())
            if h.requires_grad:  # else the block has no parameters
                pull_back(batch.read(h), error @ getattr(self, f"feedback_{k}"))
                yield Local(None, owner=k)
        h = batch.through(top, h.detach())
        yield Local(LOSSES[self.spec.task](self.aux(batch.read(h).flatten(1)), batch.y), owner=last)

    def on_epoch(self) -> None:
        if self.sums is None:
            return
        (k,) = self.phase.blocks
        (weight,) = self.heads[k].parameters()
        sums, self.sums = self.sums, None
        weight.copy_(solve(sums, self.settings.ridge, self.phase.name, weight.device).T)

    def scores(self, k: int, h: Tensor) -> Tensor:
        """Scores of predictor k in full precision: outputs of bfloat16 blocks may be cached, but are not rounded again.

        Args:
            k: the predictor.
            h: output of block k ``(B, …)``.

        Returns:
            ``s_k (B, C)``.
        """
        with outside_autocast(h):
            return self.heads[k](h.flatten(1).to(torch.promote_types(h.dtype, torch.float32)))

    def predict(self, batch: Batch) -> Tensor:
        if self.phase.name == "blocks":
            if self.settings.variant == "dfa":
                return self.aux(batch.read(batch.after(self.blocks)).flatten(1))
            return batch.x.new_zeros(len(batch.read(batch.x)), *self.spec.outputs)  # no predictor yet
        probabilities = sparsemax if self.predictor == "sparsemax" else _softmax
        h, total = batch.x, []
        for k, block in self.trained:
            h = batch.through(block, h)
            s = self.scores(k, batch.read(h))
            total.append(probabilities(s) if self.spec.classes and self.settings.readout == "softmax" else s)
        return torch.stack(total).sum(0) if self.spec.classes else torch.stack(total).mean(0)


def _softmax(s: Tensor) -> Tensor:
    return s.softmax(1)
