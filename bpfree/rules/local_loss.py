"""Local losses: every layer predicts the class and matches the similarity of the labels.

Nokland, Eidnes, "Training Neural Networks with Local Error Signals", arXiv 1901.06656. Each hidden block k descends, on
what it puts out and without a gradient from above,

    L_k = (1 - beta) CE(V_k pool(h_k), y) + beta mean (S(F_k h_k) - S(onehot(y)))^2,   beta = 0.99 (predsim)

    S(x) = N N^T clamped to [-1, 1],   N_i = (x_i - mean(x_i)) / |x_i - mean(x_i)|

``loss=pred`` is the first term alone, ``loss=sim`` the second. Numbers have no such similarity: for regression the loss
is ``pred`` alone, the mean squared error. Feature maps are reduced to each channel's standard
deviation over space before S. The last block is a linear classifier that descends its own cross-entropy.

============  ========================  ==========
symbol        attribute                 shape
============  ========================  ==========
block k       ``blocks[k]``             any; the last one gives class scores
V_k           ``heads[k].classify``     (C, m_k) and a bias, m_k <= ``head_features``; weights zero at first
F_k           ``heads[k].project``      (n_k, n_k), or 3x3 kernels (n_k, n_k, 3, 3); no bias
============  ========================  ==========

Tasks: classification, regression.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)`` of the last block; for regression ``batch.y (B, T)``
-> ``(B, T)``.
Differences from the paper: a sample whose features are all equal has no direction, and a channel that is constant over
space no deviation: both get a zero gradient here, where the original has none that is finite. Net ``vgg8b`` has its
batch norm and dropout, ``mlp`` has neither.
Costs: one forward pass a step and a prediction; F_k costs as much as a layer of n_k inputs, and none of the heads is
used at inference. A batch of B samples makes B x B similarities, so the loss is no mean over samples.
"""

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional.similarity import similarity_loss
from bpfree.rules.backprop import LOSSES
from bpfree.training.trainer import Batch, Local, RuleSettings, Trainer

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(RuleSettings):
    loss: Literal["pred", "sim", "predsim"] = setting("predsim", "class prediction, similarity matching, or both")
    beta: float = setting(0.99, "weight of similarity matching in predsim", gt=0, lt=1)
    head_features: int = setting(4096, "features that a class prediction may see; larger maps are averaged", ge=1)


class Head(nn.Module):
    """The local loss of a block that puts out ``shape`` (features, …)."""

    def __init__(self, shape: tuple[int, ...], spec: "Spec", options: Settings) -> None:
        super().__init__()
        self.classes, self.map = spec.classes, averaged(shape, options.head_features)
        self.predict = LOSSES[spec.task]
        self.beta = {"pred": 0.0, "sim": 1.0, "predsim": options.beta}[options.loss] if spec.classes else 0.0
        self.classify = self.project = None
        if self.beta < 1:
            self.classify = nn.Linear(shape[0] * prod(self.map), spec.outputs[0])
            nn.init.zeros_(self.classify.weight)
        if self.beta > 0:
            n, maps = shape[0], len(shape) == 3
            self.project = nn.Conv2d(n, n, 3, padding=1, bias=False) if maps else nn.Linear(n, n, bias=False)

    def forward(self, h: Tensor, y: Tensor) -> Tensor:
        loss = h.new_zeros(())
        if self.classify is not None:
            seen = F.adaptive_avg_pool2d(h, self.map) if self.map else h
            rows = seen.movedim(1, -1).flatten(1)  # a view of maps whose channels lie last in memory
            loss = (1 - self.beta) * self.predict(self.classify(rows), y)
        if self.project is not None:
            loss = loss + self.beta * similarity_loss(self.project(h), y, self.classes)
        return loss


def averaged(shape: tuple[int, ...], limit: int) -> tuple[int, int] | tuple[()]:
    """Size that maps are averaged to: the longer side is halved until they have at most ``limit`` features.

    Args:
        shape: of a sample: ``(c, h, w)`` of maps, ``(n,)`` of vectors.
        limit: features at most.

    Returns:
        Height and width; nothing for vectors.
    """
    if len(shape) != 3:
        return ()
    height, width = shape[1:]
    while shape[0] * height * width > limit and max(height, width) > 1:
        height, width = (-(-height // 2), width) if height >= width else (height, -(-width // 2))
    return height, width


class LocalLoss(Trainer):
    """Every hidden block descends a loss of its own; the last one classifies what they make."""

    Settings = Settings
    tasks = ("classification", "regression")
    overlap = True
    batch_separable = False  # similarities are between the samples of a batch
    image_net = "cnn"
    prefer = {"lr": 5e-3, "channels": (16, 32), "pool": "max", "norm": "batch"}
    because = {("lr",): "the similarity loss, 99 % of the sum, is a mean of small squares"}
    on_few_rows = {"lr": 1e-3}  # made regressions of 400 rows: R2 is 0.06 higher, made classes as before

    def setup(self) -> None:
        if any(len(shape) == 2 for shape in self.shapes):
            raise InputError("local-loss needs maps or vectors, and a block puts out sequences: try --net cnn")
        if not self.spec.classes and self.settings.loss != "pred":
            if self.settings.loss == "sim":
                raise InputError(f"loss = sim compares classes: use pred for {self.spec.task}")
            self.notes.append(f"similarity matching compares classes: left out for {self.spec.task} (loss = pred)")
        self.heads.extend(Head(shape, self.spec, self.settings) for shape in self.shapes[:-1])

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        h = batch.x
        for k, block in self.active:
            h = block(h.detach())
            last = k == len(self.heads)
            yield Local(LOSSES[self.spec.task](h, batch.y) if last else self.heads[k](h, batch.y), owner=k)

    def predict(self, batch: Batch) -> Tensor:
        return batch.after(self.blocks)
