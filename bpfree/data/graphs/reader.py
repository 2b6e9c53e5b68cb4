"""Reader of graphs: checks, splits, virtual nodes, and sources whose batch is the graph.

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
    """Task, split and preparation of a graph."""

    task: Literal["node-classification", "link-prediction"] = setting(
        "node-classification", "predict the classes of nodes, or the links between pairs of nodes"
    )
    split: Literal["paper", "public"] = setting(
        "paper", "64/16/20 % of the nodes by the recipe of ForwardGNN, or the masks that come with the data"
    )
    fold: int | None = setting(
        None, "which of the five splits of the recipe (none: the run's seed modulo 5)", ge=0, le=4
    )
    edges: Literal["undirected", "symmetrise", "directed"] = setting(
        "undirected", "edges in one direction only: refuse them, add their reverse, or keep the graph directed"
    )
    features: Literal["rows", "raw"] = setting(
        "rows", "scale the features of a node to sum 1, or take them as they are"
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
    """Split of a graph: every batch has all nodes in ``x``, and in ``index`` those with a target.

    Args:
        x: features of all nodes ``(N + K, F)``, K virtual.
        y: targets ``(B,)``.
        index: nodes of the targets, or the ends of their pairs.
        graph: edges and labels of the nodes.
    """

    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, index: Tensor, graph: Graph) -> None:
        self.x, self.y, self.index, self.graph = x, y, index, graph
        self.shape = tuple(x.shape[1:])
        self.whole = not graph.sampled

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device | str, resident_mb: float) -> "GraphSource":
        # a graph is resident whatever its size: every batch has all of it
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
    """Base class of readers of graphs, which define ``read``."""

    Settings = GraphSettings
    net = "gnn"

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        raise NotImplementedError

    def load(self, settings: Mapping[str, Any] | GraphSettings | None = None, seed: int = 0) -> Data:  # type: ignore[override]
        settings = settings if isinstance(settings, GraphSettings) else build(GraphSettings, settings or {})
        raw = clean_graph(self.read(settings), settings)
        return (node_data if settings.task == "node-classification" else link_data)(raw, settings, seed)

    def describe(self, settings: Mapping[str, Any] | GraphSettings | None = None, seed: int = 0) -> dict[str, Any]:  # type: ignore[override]
        settings = settings if isinstance(settings, GraphSettings) else build(GraphSettings, settings or {})
        raw = clean_graph(self.read(settings), settings)
        data = (node_data if settings.task == "node-classification" else link_data)(raw, settings, seed)
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
            "rows": {part: len(getattr(data, part)) for part in ("train", "val", "test")},
            "sha256": raw.sha256,
            "source": raw.source,
        }


def clean_graph(raw: RawGraph, settings: GraphSettings) -> RawGraph:
    """Check a graph, remove self-loops and double edges, and scale its features.

    Args:
        raw: the graph as read.
        settings: of the data.

    Returns:
        The cleaned graph.

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
    if settings.edges == "symmetrise":
        edges = torch.cat([edges, edges.flip(0)], 1)
    keys = (edges[0] * len(x) + edges[1]).unique()
    edges = torch.stack([keys // len(x), keys % len(x)])
    if settings.edges == "undirected":
        one_way = ~torch.isin(keys, edges[1] * len(x) + edges[0])
        if one_way.any():
            a, b = edges[:, one_way][:, 0].tolist()
            raise InputError(
                f"{name}: the edge {a} -> {b} has no reverse edge, one of {int(one_way.sum())} such edges: "
                f"set edges = symmetrise to add the reverse edges, or directed to keep the graph directed"
            )
    if settings.features == "rows":
        x = x / x.sum(1, keepdim=True).clamp(min=1.0)  # as torch_geometric's NormalizeFeatures
    return replace(raw, x=x, y=y, edges=edges)


def node_data(raw: RawGraph, settings: GraphSettings, seed: int) -> Data:
    """Split a graph for node classification: the parts are sets of nodes.

    Args:
        raw: a clean graph.
        settings: of the data.
        seed: of the run; chooses the fold and draws the features of virtual nodes.

    Returns:
        The data, ready to train on.

    Raises:
        InputError: masks that do not fit, too few nodes, or a class without a training node.
    """
    parts = (
        _masks(raw)
        if settings.split == "public"
        else folds(len(raw.x), seed % 5 if settings.fold is None else settings.fold)
    )
    train, val, test = parts
    classes = int(raw.y.max()) + 1
    absent = (torch.bincount(raw.y[train], minlength=classes) == 0).nonzero()[:, 0].tolist()
    if absent:
        raise InputError(f"{raw.name}: class {absent[0]} has no training node: every class needs at least one")
    labels, context = torch.full_like(raw.y, -1), torch.full_like(raw.y, -1)
    labels[train] = raw.y[train]
    context[torch.cat([train, val])] = raw.y[torch.cat([train, val])]
    virtual, x = classes if settings.virtual_nodes else 0, raw.x
    if virtual:
        draws = torch.Generator().manual_seed(derive(seed, "virtual nodes"))
        x = torch.cat([x, torch.randn(classes, x.shape[1], generator=draws)])
    seen = Graph(raw.edges, len(raw.x), virtual, labels, labels, labels, back=settings.virtual_back)
    learnt = replace(seen, sampled=True, fan_out=settings.fan_out) if settings.sample else seen
    later = replace(seen, context=context)
    return Data(
        _spec(raw, settings, classes, "accuracy", len(x)),
        GraphSource(x, raw.y[train], train, learnt),
        GraphSource(x, raw.y[val], val, seen),
        GraphSource(x, raw.y[test], test, later),
    )


def folds(n: int, fold: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split nodes by the recipe.

    Args:
        n: number of nodes.
        fold: number of the split, 0..4.

    Returns:
        Training, validation and test nodes, ascending int64.

    Raises:
        InputError: fewer than five nodes.
    """
    if n < 5:
        raise InputError(f"a graph of {n} nodes cannot be split in five: use a larger one, or split = public")
    selection = geometric("sklearn.model_selection")
    rest, test = list(selection.KFold(5, shuffle=True, random_state=101).split(np.arange(n)))[fold]
    train, val = selection.train_test_split(rest, test_size=0.2, random_state=127 * fold, shuffle=True)
    return tuple(torch.from_numpy(np.sort(part)) for part in (train, val, test))  # type: ignore[return-value]


def _masks(raw: RawGraph) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test nodes by the masks of the data."""
    if raw.masks is None:
        raise InputError(f"{raw.name} has no masks: use split = paper")
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


def link_data(raw: RawGraph, settings: GraphSettings, seed: int) -> Data:
    """Split a graph for link prediction: the parts are sets of pairs, half of them linked.

    Args:
        raw: a clean graph.
        settings: of the data.
        seed: of the run; chooses the fold.

    Returns:
        The data, ready to train on.

    Raises:
        InputError: settings that belong to node classification.
    """
    if settings.edges == "directed" or settings.sample or settings.split == "public":
        raise InputError(
            "link-prediction needs an undirected graph as one batch: leave edges = directed, sample and split out"
        )
    fold = seed % 5 if settings.fold is None else settings.fold
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
    return Data(_spec(raw, settings, 0, "roc-auc", len(raw.x)), *sources)


def _spec(raw: RawGraph, settings: GraphSettings, classes: int, metric: str, rows: int) -> Spec:
    names = raw.class_names if classes else None
    shape = tuple(raw.x.shape[1:])
    return Spec(raw.name, shape, classes, names, settings.task, metric, True, raw.sha256, raw.source, rows)
