"""Splits of graphs: sets of nodes, or of pairs of nodes, each a source; and the virtual nodes.

The node split ``paper`` is that of arXiv 2403.11004: ``KFold(5, shuffle=True, random_state=101)`` over all labelled
nodes, fold i is the test part; of the rest ``train_test_split(test_size=0.2, random_state=127 * i)``, 20 % for
validation. Links are split by ``RandomLinkSplit(num_val=0.16, num_test=0.2)`` under seed ``101 * i``, as many drawn
non-edges as edges.
"""

import random
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.source import GraphSource
from bpfree.errors import InputError
from bpfree.graphs.graph import Graph, geometric
from bpfree.training.data import Data, Spec
from bpfree.training.random_streams import derive, global_scope

PARTS = ("training", "validation", "test")


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
    labelled = raw.y >= 0
    by_masks = raw.masks is not None and raw.masks_first and settings.fold is None
    if (settings.split or ("public" if by_masks else "paper")) == "public":
        parts, notes = _masks(raw, labelled)
    else:
        known = labelled.nonzero()[:, 0]
        numbers = folds(len(known), seed % 5 if settings.fold is None else settings.fold)
        parts, notes = tuple(known[part] for part in numbers), ()
    train, val, test = parts
    classes = int(raw.y.max()) + 1
    absent = (torch.bincount(raw.y[train], minlength=classes) == 0).nonzero()[:, 0].tolist()
    if absent:
        name = absent[0] if raw.class_names is None else raw.class_names[absent[0]]
        raise InputError(f"{raw.name}: class {name} has no training node: every class needs at least one")
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
        notes=(*raw.notes, *notes),
    )


def folds(n: int, fold: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split nodes by the recipe.

    Args:
        n: number of labelled nodes.
        fold: number of the split, 0..4.

    Returns:
        Numbers of training, validation and test nodes among them, ascending int64.

    Raises:
        InputError: fewer than five nodes.
    """
    if n < 5:
        raise InputError(f"a graph of {n} labelled nodes cannot be split in five: use a larger one, or split = public")
    selection = geometric("sklearn.model_selection")
    rest, test = list(selection.KFold(5, shuffle=True, random_state=101).split(np.arange(n)))[fold]
    train, val = selection.train_test_split(rest, test_size=0.2, random_state=127 * fold, shuffle=True)
    return tuple(torch.from_numpy(np.sort(part)) for part in (train, val, test))  # type: ignore[return-value]


def _masks(raw: RawGraph, labelled: Tensor) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """Training, validation and test nodes by the masks of the data, and notes on the nodes that are left out."""
    if raw.masks is None:
        raise InputError(f"{raw.name} has no masks: use split = paper")
    for mask, part in zip(raw.masks, PARTS, strict=True):
        if mask.dtype != torch.bool or tuple(mask.shape) != (len(raw.x),):
            raise InputError(f"{raw.name}: the {part} mask must hold one truth value a node, ({len(raw.x)},)")
        if not (mask & labelled).any():
            raise InputError(f"{raw.name}: the {part} mask is empty: it needs at least one node with a label")
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = (raw.masks[a] & raw.masks[b]).nonzero()[:, 0].tolist()
        if both:
            raise InputError(
                f"{raw.name}: node {both[0]}, {len(both)} in all, is in the {PARTS[a]} and in the {PARTS[b]} mask: "
                f"splits must not overlap"
            )
    masked = torch.stack(raw.masks).any(0)
    notes = []
    if out := int((labelled & ~masked).sum()):
        notes.append(f"{out} of {len(masked)} nodes have a label but are in none of the masks")
    if without := int((masked & ~labelled).sum()):
        notes.append(f"{without} nodes of the masks have no label and are left out of them")
    return tuple((mask & labelled).nonzero()[:, 0] for mask in raw.masks), tuple(notes)


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
    train, val, test = sources
    return Data(_spec(raw, settings, 0, "roc-auc", len(raw.x)), train, val, test, raw.notes)


def _spec(raw: RawGraph, settings: GraphSettings, classes: int, metric: str, rows: int) -> Spec:
    names = raw.class_names if classes else None
    shape = tuple(raw.x.shape[1:])
    return Spec(raw.name, shape, classes, names, settings.task, metric, True, raw.sha256, raw.source, rows)
