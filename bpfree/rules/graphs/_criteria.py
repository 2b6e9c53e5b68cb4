"""Criteria of a graph layer: class scores from prototypes, or link scores of pairs of nodes.

Eq. 6 and 9 of arXiv 2403.11004:

nodes: logits_ic = <R_i, C_c> / tau,   L = CE(logits_i, y_i),   R the real nodes' outputs, C the virtual ones'
links: s_uv = sum_d h_ud h_vd,         L = BCE(s_uv, linked)                                          (ce)
       s_uv = sum_d (h_ud h_vd)^2 - theta,  L = mean over linked + mean over not linked               (ff)
"""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.training.trainer import Batch, RuleSettings


@settings
class PrototypeSettings(RuleSettings):
    temperature: float = setting(1.0, "tau, divides the dot products with the prototypes", gt=0)


@settings
class CriterionSettings(PrototypeSettings):
    link_loss: Literal["ce", "ff"] = setting(
        "ce", "links: cross-entropy of the dot product, or goodness of the product"
    )
    threshold: float = setting(2.0, "theta of link_loss = ff", ge=0)


class Criterion(Protocol):
    """Loss and readout of a graph layer's outputs ``h (R, n)`` for the nodes that `rows` names."""

    def rows(self, batch: Batch) -> Tensor:
        """Nodes ``(R,)`` whose outputs the other two methods take."""

    def loss(self, h: Tensor, batch: Batch) -> Tensor:
        """Loss of a training batch.

        Args:
            h: outputs of the layer ``(R, n)``.
            batch: the nodes or pairs, with their targets.

        Returns:
            A scalar.
        """

    def probability(self, h: Tensor, batch: Batch) -> Tensor:
        """Prediction of the layer.

        Args:
            h: outputs of the layer ``(R, n)``.
            batch: the nodes or pairs.

        Returns:
            Probability of each class ``(B, K)``, or of a link ``(B,)``.
        """


class Prototypes:
    """A node's class is that of the virtual node whose output is nearest by dot product."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def rows(self, batch: Batch) -> Tensor:
        if not batch.graph.classes:
            raise InputError("class prototypes are virtual nodes, and the graph has none: set virtual_nodes = true")
        return torch.cat([batch.index, batch.graph.virtual])  # type: ignore[list-item]

    def logits(self, h: Tensor, batch: Batch) -> Tensor:
        """Scores ``(K, B)`` of every class: a softmax over rows as short as K would be slow."""
        real, prototypes = h.split([len(h) - batch.graph.classes, batch.graph.classes])
        return prototypes / self.temperature @ real.T

    def loss(self, h: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(self.logits(h, batch)[None], batch.y[None])

    def probability(self, h: Tensor, batch: Batch) -> Tensor:
        """Probability of each class ``(B, K)``."""
        return self.logits(h, batch).softmax(0).T


class Edges:
    """Two nodes are linked when their outputs agree."""

    def rows(self, batch: Batch) -> Tensor:
        return batch.index  # type: ignore[return-value]

    def logits(self, h: Tensor, batch: Batch) -> Tensor:
        """Scores ``(B,)`` of the pairs."""
        return batch.graph.products(h).sum(1)

    def loss(self, h: Tensor, batch: Batch) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits(h, batch), batch.y)

    def probability(self, h: Tensor, batch: Batch) -> Tensor:
        """Probability of a link ``(B,)``."""
        return self.logits(h, batch).sigmoid()


class GoodEdges(Edges):
    """Links have high goodness, other pairs low."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def logits(self, h: Tensor, batch: Batch) -> Tensor:
        return batch.graph.products(h).square().sum(1) - self.threshold

    def loss(self, h: Tensor, batch: Batch) -> Tensor:
        cost = F.binary_cross_entropy_with_logits(self.logits(h, batch), batch.y, reduction="none")
        linked = batch.y.to(cost.dtype)
        return (cost * linked).sum() / linked.sum() + (cost * (1 - linked)).sum() / (1 - linked).sum()


def criterion_for(task: str, options: CriterionSettings) -> Criterion:
    """Pick the criterion of a task.

    Args:
        task: of the data.
        options: the rule's settings.

    Returns:
        `Prototypes` for nodes; for links `Edges` or `GoodEdges`, as ``link_loss`` says.
    """
    links: dict[str, Criterion] = {"ce": Edges(), "ff": GoodEdges(options.threshold)}
    return Prototypes(options.temperature) if task == "node-classification" else links[options.link_loss]
