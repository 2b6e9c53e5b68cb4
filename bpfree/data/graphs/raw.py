"""Graphs before their split: settings, and what a reader gives."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.data import verification


@settings
class GraphSettings:
    """Task, split and preparation of a graph."""

    task: Literal["node-classification", "link-prediction"] = setting(
        "node-classification", "predict the classes of nodes, or the links between pairs of nodes"
    )
    split: Literal["paper", "public"] | None = setting(
        None,
        "64/16/20 % of the nodes by the recipe of ForwardGNN, or the masks that come with the data "
        "(none: the masks of a graph of your own, unless fold is set, else paper)",
    )
    fold: int | None = setting(
        None, "which of the five splits of the recipe (none: the run's seed modulo 5)", ge=0, le=4
    )
    edges: Literal["undirected", "symmetrise", "directed"] = setting(
        "undirected", "edges in one direction only: refuse them, add their reverse, or keep the graph directed"
    )
    features: Literal["rows", "absolute", "raw"] = setting(
        "rows",
        "divide the features of a node by their sum, where none is negative, or by the sum of their absolute values, "
        "each if it is above 1; or take them as they are",
    )
    virtual_nodes: bool = setting(False, "one node for each class, of random features, linked to its training nodes")
    virtual_back: bool = setting(True, "virtual nodes also send to the nodes that they are linked to")
    sample: bool = setting(False, "train on batches of training nodes; off: the whole graph is one batch")
    fan_out: int | None = setting(None, "number of neighbours drawn for a node when sampling (none: all)", ge=1)
    data_dir: str = setting(".", "folder of files; then $BPFREE_DATA_DIR, then the cache")


@dataclass(frozen=True)
class RawGraph:
    """A graph as it was read.

    Attributes:
        name: as in `Spec`.
        source: as in `Spec`.
        x: features ``(N, F)``.
        edges: node numbers ``(2, E)``: sources, then targets.
        y: classes ``(N,)`` int64, -1 for a node without a label.
        masks: of training, validation and test nodes, ``(N,)`` bool each, or None.
        class_names: one for each class, or None.
        masks_first: the masks are the split, unless the settings say otherwise.
        notes: as in `Data`.
    """

    name: str
    source: str
    x: Tensor
    edges: Tensor
    y: Tensor
    masks: tuple[Tensor, Tensor, Tensor] | None = None
    class_names: tuple[str, ...] | None = None
    masks_first: bool = False
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        return verification.sha256({"x": self.x, "edges": self.edges, "y": self.y})
