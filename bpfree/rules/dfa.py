"""Direct feedback alignment: every hidden block learns from the output error through a fixed random matrix.

Nokland, "Direct Feedback Alignment Provides Learning in Deep Neural Networks", arXiv 1609.01596. The error skips all
blocks between the output and block k; within the block its true derivative counts:

    e = (softmax(f(x)) - y) / B,   delta_k = e B_k,   dL/dW_k = (delta_k * relu'(z_k))^T a_{k-1}

The last block descends the cross-entropy itself, whose gradient by its output is e.

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
f_k           ``blocks[k]``           (B, n_{k-1}) -> (B, n_k)
B_k           ``feedback_k``          (C, n_k), fixed; none for the last block
============  ======================  ==========

Tasks: classification; regression, where ``e = 2 (f(x) - y) / (B T)`` and the loss is the mean squared error.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for regression ``batch.y (B, T)`` -> ``(B, T)``.
Differences from the paper: the rows of B_k are normal and scaled to norm one; a block may hold a convolution,
normalisation and pooling, through which delta_k is pulled back by the block's own derivative. Hidden blocks have no
loss, so the history has only the last one's.
Costs: two forward passes a step: the first one keeps no graph, so memory is flat in depth; one a prediction. B_k are
stored, not trained, and not used at inference.
"""

from collections.abc import Iterator

from torch import Tensor

from bpfree.functional.feedback import feedback_matrix, output_error, pull_back, rehearse
from bpfree.rules.backprop import LOSSES
from bpfree.training.contract import check_classifier
from bpfree.training.trainer import Batch, Local, Trainer


class DFA(Trainer):
    """Every hidden block learns from the output error, sent straight to it."""

    tasks = ("classification", "regression")

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 2, 1

    def setup(self) -> None:
        check_classifier(self)
        for k, n in enumerate(self.features[:-1]):
            self.register_buffer(f"feedback_{k}", feedback_matrix(self.spec.outputs[0], n))

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        error = output_error(rehearse(self.blocks, batch.x), batch.y)  # (B, C) or (B, T)
        h, last = batch.x, len(self.blocks) - 1
        for k, block in enumerate(self.blocks):
            h = block(h.detach())
            if k == last:
                yield Local(LOSSES[self.spec.task](h, batch.y), owner=k)
            elif h.requires_grad:  # else the block has no parameters
                pull_back(h, error @ getattr(self, f"feedback_{k}"))
                yield Local(None, owner=k)

    def predict(self, batch: Batch) -> Tensor:
        return batch.after(self.blocks)
