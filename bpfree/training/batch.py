"""The values that pass between a rule and the loop: batches in, local losses out, phase by phase."""

import dataclasses
from collections.abc import Hashable, Iterable, Sequence, Sized
from typing import Any, NamedTuple

from torch import Tensor, nn


@dataclasses.dataclass
class Batch:
    """A mini-batch as a rule sees it.

    Attributes:
        x: inputs ``(B, …)``, on the trainer's device, normalised and augmented.
        y: targets ``(B,)`` int64 classes, or others that the task has, or None.
        index: rows of the data set ``(B,)`` int64, or None; of a graph, the nodes that have a target here.
        padding: its one row is only there to keep the processes in step: nothing may be learned from it.
        graph: the graph that ``x``, then of all its nodes, lives on (`bpfree.graphs.graph.Graph`), or None.
        span: (first row, total rows) of this batch within the batch that all processes share.
    """

    x: Tensor
    y: Any = None
    index: Tensor | None = None
    padding: bool = False
    graph: Any = None
    span: tuple[int, int] | None = None

    def through(self, block: nn.Module, h: Tensor) -> Tensor:
        """The output of ``block`` for ``h``; a layer of a graph gets the graph too, and may prepare a fixed input once.

        Args:
            block: the module.
            h: its input ``(B, …)``; of a graph, all rows.
        """
        if not getattr(block, "takes_graph", False):
            return block(h)
        fixed = getattr(block, "fixed", None) if h is self.x else None
        return block(fixed(h) if fixed else h, self.graph)

    def after(self, blocks: Iterable[nn.Module]) -> Tensor:
        """The output of ``blocks`` for ``x``, one after another."""
        h = self.x
        for block in blocks:
            h = self.through(block, h)
        return h

    def read(self, h: Tensor) -> Tensor:
        """The part of ``h`` that has targets: all of it, unless the batch is a graph."""
        return h if self.graph is None else self.graph.read(h, self.index)


class Local(NamedTuple):
    """A local loss and the owner of the parameters that it trains.

    ``loss``: a scalar, or None when the rule has filled ``.grad`` itself. ``owner``: a key of ``Trainer.owners()``, or
    None: every owner that then holds gradients steps once, when the generator ends.
    """

    loss: Tensor | None
    owner: Hashable


class Phase(NamedTuple):
    """A stretch of training: which blocks train, for how many epochs, under early stopping of its own.

    ``fixed``: `Trainer.prepare` gives a sample the same input in every epoch, so it may be computed once.
    ``frozen``: the blocks below this one are frozen (a head may train alone); None: those below the first that trains.
    ``restart``: no checkpoint holds what a pass sums up: a run stopped within one begins it again, with `on_pass`.
    """

    name: str
    blocks: Sequence[int]
    epochs: int
    fixed: bool = True
    frozen: int | None = None
    restart: bool = False

    @classmethod
    def one_by_one(cls, blocks: Sized, epochs: int, fixed: bool = True) -> list["Phase"]:
        """The schedule in which the blocks train one after another, each in a phase of its own.

        Args:
            blocks: of the net.
            epochs: of a phase, at most.
            fixed: see `Phase`.
        """
        return [cls(f"block {k}", (k,), epochs, fixed) for k in range(len(blocks))]
