"""From what a graph file holds to a `Data`: checks, splits, virtual nodes, and sources whose batch is the graph.

The node split ``paper`` is that of arXiv 2403.11004: ``KFold(5, shuffle=True, random_state=101)`` over all nodes, fold
i is the test part; of the rest ``train_test_split(test_size=0.2, random_state=127 * i)``, 20 % for validation. Links
are split by ``RandomLinkSplit(num_val=0.16, num_test=0.2)`` under seed ``101 * i``, as many drawn non-edges as edges.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bpfree.config.settings import build, setting, settings
from bpfree.data import verification
from bpfree.data.reader import Reader
from bpfree.errors import InputError
from bpfree.graphs.graph import Graph, geometric
from bpfree.training.batch import Batch
from bpfree.training.data import Data, Pass, Source, Spec
from bpfree.training.random_streams import derive, global_scope

PARTS = ("training", "validation", "test")


@settings
class GraphSettings:
    """How a graph is split and given to the net."""

    task: Literal["node-classification", "link-prediction"] = setting(
        "node-classification", "learn the classes of nodes, or which pairs of nodes are linked"
    )
    split: Literal["paper", "public"] = setting(
        "paper", "64/16/20 % of the nodes by the recipe of ForwardGNN, or the masks that come with the data"
    )
    fold: int | None = setting(
        None, "which of the five splits of the recipe (none: the run's seed modulo 5)", ge=0, le=4
    )
    edges: Literal["undirected", "symmetrise", "directed"] = setting(
        "undirected", "refuse an edge without one back, add those that are missing, or keep directions"
    )
    features: Literal["rows", "raw"] = setting(
        "rows", "scale the features of a node to sum 1, or take them as they are"
    )
    virtual_nodes: bool = setting(False, "one node a class, of random features, joined to its training nodes")
    virtual_back: bool = setting(True, "virtual nodes also send to the nodes they are joined to")
    sample: bool = setting(False, "learn from batches of training nodes; off: the whole graph is one batch")
    fan_out: int | None = setting(None, "neighbours drawn for a node when sampling (none: all)", ge=1)
    data_dir: str = setting(".", "where files are looked up; then $BPFREE_DATA_DIR, then the cache")


@dataclass(frozen=True)
class RawGraph:
    """A graph as it was read.

    Attributes:
        name, source: as in `Spec`.
        x: features ``(N, F)``.
        edges: ``(2, E)``, source above target.
        y: classes ``(N,)``.
        masks: of training, validation and test nodes, ``(N,)`` bool each, or None.
        class_names: one for each class, or None.
    """

    name: str
    source: str
    x: Tensor
    edges: Tensor
    y: Tensor
    masks: tuple[Tensor, Tensor, Tensor] | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def sha256(self) -> str:
        return verification.sha256({"x": self.x, "edges": self.edges, "y": self.y})


class GraphSource(Source):
    """One split of a graph: every batch has all nodes in ``x``, and in ``index`` those that are asked about.

    Args:
        x: features of all nodes ``(N + K, F)``.
        y: targets ``(B,)``.
        index: their nodes, or the ends of their pairs.
        graph: what they live on.
    """

    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, index: Tensor, graph: Graph) -> None:
        self.x, self.y, self.index, self.graph = x, y, index, graph
        self.shape = tuple(x.shape[1:])
        self.whole = not graph.sampled

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device | str, resident_mb: float) -> "GraphSource":
        """The same graph on ``device``, whatever its size."""
        return GraphSource(self.x.to(device), self.y.to(device), self.index.to(device), self.graph.to(device))

    def steps(self, batch_size: int) -> int:
        return 1 if self.whole else super().steps(batch_size)

    def prepared(self, prepare: Callable[[Batch], Batch], batch_size: int, budget: float) -> "GraphSource | None":
        batch = prepare(Batch(self.x, self.y, self.index, graph=self.graph))
        return None if batch.x.nbytes > budget else GraphSource(batch.x, batch.y, self.index, self.graph)

    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        if over.shard[1] > 1:
            raise InputError("a graph cannot be shared out over processes: train it in one")
        return self._produce(len(self) if self.whole else over.batch_size, over.order, over.start)

    def _produce(self, batch_size: int, order: Tensor | None, start: int) -> Generator[Batch, None, None]:
        if batch_size >= len(self):  # the same tensors every time, so that what follows from them can be kept
            yield from () if start else (Batch(self.x, self.y, self.index, graph=self.graph),)
            return
        order = torch.arange(len(self)) if order is None else order
        for rows in order.to(self.index.device).split(batch_size)[start:]:
            yield Batch(self.x, self.y[rows], self.index[rows], graph=self.graph)


class GraphReader(Reader):
    """Base class of readers of graphs: they write ``read``."""

    Settings = GraphSettings
    net = "gnn"

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        raise NotImplementedError

    def load(self, settings: Mapping[str, Any] | GraphSettings | None = None, seed: int = 0) -> Data:  # type: ignore[override]
        chosen = settings if isinstance(settings, GraphSettings) else build(GraphSettings, settings or {})
        raw = checked(self.read(chosen), chosen)
        return (nodes if chosen.task == "node-classification" else links)(raw, chosen, seed)

    def describe(self, settings: Mapping[str, Any] | GraphSettings | None = None, seed: int = 0) -> dict[str, Any]:  # type: ignore[override]
        chosen = settings if isinstance(settings, GraphSettings) else build(GraphSettings, settings or {})
        raw = checked(self.read(chosen), chosen)
        data = (nodes if chosen.task == "node-classification" else links)(raw, chosen, seed)
        degree = torch.bincount(raw.edges.flatten(), minlength=len(raw.x))
        return {
            "name": raw.name,
            "task": data.spec.task,
            "nodes": len(raw.x),
            "directed_edges": raw.edges.shape[1],
            "isolated_nodes": int((degree == 0).sum()),
            "features": raw.x.shape[1],
            "nonzero_features": (raw.x != 0).double().mean().item(),
            "classes": int(raw.y.max()) + 1,
            "class_names": None if raw.class_names is None else list(raw.class_names),
            "per_class": torch.bincount(raw.y).tolist(),
            "rows": {part: len(source) for part, source in vars(data).items() if part != "spec"},
            "sha256": raw.sha256,
            "source": raw.source,
        }


def checked(raw: RawGraph, chosen: GraphSettings) -> RawGraph:
    """``raw`` without self-loops and double edges, features scaled.

    Raises:
        InputError: values, shapes or edges that no graph net can use.
    """
    name = raw.name
    x = verification.examples(raw.x, f"the features of {name}").float()
    y = verification.labels(raw.y, len(x), f"the labels of {name}")
    verification.classes(y, f"the labels of {name}")
    edges = torch.as_tensor(raw.edges)
    if edges.dim() != 2 or len(edges) != 2 or edges.is_floating_point():
        raise InputError(f"{name}: edges have shape {tuple(edges.shape)}: expected two rows of node numbers")
    edges = edges.long()
    if edges.numel() and not (int(edges.min()) >= 0 and int(edges.max()) < len(x)):
        raise InputError(f"{name}: an edge names node {int(edges.max())} but there are {len(x)} nodes: expected 0..N-1")
    edges = edges[:, edges[0] != edges[1]]
    if not edges.numel():
        raise InputError(f"{name} has no edges: a graph needs at least one between two nodes")
    if chosen.edges == "symmetrise":
        edges = torch.cat([edges, edges.flip(0)], 1)
    keys = (edges[0] * len(x) + edges[1]).unique()
    edges = torch.stack([keys // len(x), keys % len(x)])
    if chosen.edges == "undirected":
        lonely = ~torch.isin(keys, edges[1] * len(x) + edges[0])
        if lonely.any():
            a, b = edges[:, lonely][:, 0].tolist()
            raise InputError(
                f"{name}: the edge {a} -> {b} has none back, as have {int(lonely.sum())} in all: "
                f"set edges = symmetrise to add them, or directed to keep them so"
            )
    if chosen.features == "rows":
        x = x / x.sum(1, keepdim=True).clamp(min=1.0)  # as torch_geometric's NormalizeFeatures
    return replace(raw, x=x, y=y, edges=edges)


def nodes(raw: RawGraph, chosen: GraphSettings, seed: int) -> Data:
    """Node classification: the parts are sets of nodes."""
    parts = (
        _masks(raw) if chosen.split == "public" else folds(len(raw.x), seed % 5 if chosen.fold is None else chosen.fold)
    )
    train, val, test = parts
    classes = int(raw.y.max()) + 1
    absent = (torch.bincount(raw.y[train], minlength=classes) == 0).nonzero()[:, 0].tolist()
    if absent:
        raise InputError(f"{raw.name}: class {absent[0]} has no training node: every class needs at least one")
    labels, context = torch.full_like(raw.y, -1), torch.full_like(raw.y, -1)
    labels[train] = raw.y[train]
    context[torch.cat([train, val])] = raw.y[torch.cat([train, val])]
    virtual, x = classes if chosen.virtual_nodes else 0, raw.x
    if virtual:
        draws = torch.Generator().manual_seed(derive(seed, "virtual nodes"))
        x = torch.cat([x, torch.randn(classes, x.shape[1], generator=draws)])
    seen = Graph(raw.edges, len(raw.x), virtual, labels, labels, labels, back=chosen.virtual_back)
    learnt = replace(seen, sampled=True, fan_out=chosen.fan_out) if chosen.sample else seen
    later = replace(seen, context=context)
    return Data(
        _spec(raw, chosen, classes, "accuracy", len(x)),
        GraphSource(x, raw.y[train], train, learnt),
        GraphSource(x, raw.y[val], val, seen),
        GraphSource(x, raw.y[test], test, later),
    )


def folds(n: int, fold: int) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test nodes of the recipe's split number ``fold``. InputError: fewer than five nodes."""
    if n < 5:
        raise InputError(f"a graph of {n} nodes cannot be split in five: give one of more nodes, or split = public")
    selection = geometric("sklearn.model_selection")
    rest, test = list(selection.KFold(5, shuffle=True, random_state=101).split(np.arange(n)))[fold]
    train, val = selection.train_test_split(rest, test_size=0.2, random_state=127 * fold, shuffle=True)
    return tuple(torch.from_numpy(np.sort(part)) for part in (train, val, test))  # type: ignore[return-value]


def _masks(raw: RawGraph) -> tuple[Tensor, Tensor, Tensor]:
    if raw.masks is None:
        raise InputError(f"{raw.name} comes without masks: leave split = paper")
    for mask, part in zip(raw.masks, PARTS, strict=True):
        if mask.dtype != torch.bool or tuple(mask.shape) != (len(raw.x),):
            raise InputError(f"{raw.name}: the {part} mask must hold one truth value a node, ({len(raw.x)},)")
        if not mask.any():
            raise InputError(f"{raw.name}: the {part} mask is empty: it needs at least one node")
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = (raw.masks[a] & raw.masks[b]).nonzero()[:, 0].tolist()
        if both:
            raise InputError(
                f"{raw.name}: node {both[0]}, {len(both)} in all, is in the {PARTS[a]} and in the {PARTS[b]} mask: "
                f"splits must not overlap"
            )
    return tuple(mask.nonzero()[:, 0] for mask in raw.masks)  # type: ignore[return-value]


def links(raw: RawGraph, chosen: GraphSettings, seed: int) -> Data:
    """Link prediction: the parts are sets of pairs, half of them linked."""
    if chosen.edges == "directed" or chosen.sample or chosen.split == "public":
        raise InputError(
            "link-prediction takes the recipe's splits of an undirected graph as one batch: leave the rest"
        )
    fold = seed % 5 if chosen.fold is None else chosen.fold
    transforms, inner = geometric("torch_geometric.transforms"), geometric("torch_geometric.data")
    split = transforms.RandomLinkSplit(is_undirected=True, num_val=0.16, num_test=0.2, neg_sampling_ratio=1.0)
    state = random.getstate()  # torch_geometric draws non-edges from Python's generator
    try:
        with global_scope(101 * fold, torch.device("cpu")):
            random.seed(101 * fold)
            parts = split(inner.Data(x=raw.x, edge_index=raw.edges))
    finally:
        random.setstate(state)
    sources = []
    for part in parts:
        index, ends = part.edge_label_index.unique(return_inverse=True)
        graph = Graph(part.edge_index, len(raw.x), pairs=ends)
        sources.append(GraphSource(raw.x, part.edge_label.float(), index, graph))
    return Data(_spec(raw, chosen, 0, "roc-auc", len(raw.x)), *sources)


def _spec(raw: RawGraph, chosen: GraphSettings, classes: int, metric: str, rows: int) -> Spec:
    names = raw.class_names if classes else None
    shape = tuple(raw.x.shape[1:])
    return Spec(raw.name, shape, classes, names, chosen.task, metric, True, raw.sha256, raw.source, rows)
