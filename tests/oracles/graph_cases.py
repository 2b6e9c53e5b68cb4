"""A small graph in numpy float64, and one step of a rule on it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from plain import Array
from small import loop_of, make
from step import values_of

from bpfree.data.graphs.source import GraphSource
from bpfree.graphs.graph import Graph
from bpfree.training.data import Data, Spec

N, F, K, H = 9, 5, 3, 4
TRAIN, VAL, TEST = np.arange(5), np.array([5, 6]), np.array([7, 8])
Y = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
EDGES = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 0), (1, 5), (2, 7)])  # 8 stands alone
BASE = np.concatenate([EDGES, EDGES[:, ::-1]]).T


def features(virtual: int = K, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(N + virtual, F))


def joins(classes: dict[int, int]) -> np.ndarray:
    """Edges, both ways, between nodes and the virtual nodes of the classes they are shown with."""
    there = np.array([(node, N + c) for node, c in classes.items()]).reshape(-1, 2)
    return np.concatenate([there, there[:, ::-1]]).T


def a_hat(edges: np.ndarray, n: int) -> Array:
    """D^-1/2 (A + I) D^-1/2, dense."""
    a = np.eye(n)
    a[edges[1], edges[0]] = 1
    d = a.sum(1) ** -0.5
    return d[:, None] * a * d


def rownorm(h: Array) -> Array:
    return h / (np.linalg.norm(h, axis=1, keepdims=True) + 1e-8)


def data_of(virtual: bool = True, x: Array | None = None, y: np.ndarray = Y, base: np.ndarray = BASE) -> Data:
    """The small graph, or another of that size, as a data set."""
    x = features(K if virtual else 0) if x is None else x
    labels, context = np.full(N, -1), np.full(N, -1)
    labels[TRAIN], context[TRAIN], context[VAL] = y[TRAIN], y[TRAIN], y[VAL]
    tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in (base, labels, context)]
    seen = Graph(tensors[0], N, K if virtual else 0, tensors[1], tensors[1], tensors[1])
    spec = Spec("small graph", (x.shape[1],), K, None, "node-classification", "accuracy", True, "", "", len(x))
    parts = [
        GraphSource(torch.from_numpy(x), torch.from_numpy(y[part]), torch.from_numpy(part), graph)
        for part, graph in ((TRAIN, seen), (VAL, seen), (TEST, replace(seen, context=tensors[2])))
    ]
    return Data(spec, *parts)


def links(pairs: np.ndarray, linked: np.ndarray) -> Data:
    """Three equal parts that ask for ``pairs (2, B)``."""
    index, ends = np.unique(pairs, return_inverse=True)
    graph = Graph(torch.from_numpy(np.ascontiguousarray(BASE)), N, pairs=torch.from_numpy(ends.reshape(pairs.shape)))
    x = features(0)
    spec = Spec("small links", (F,), 0, None, "link-prediction", "roc-auc", True, "", "", N)
    part = GraphSource(torch.from_numpy(x), torch.from_numpy(linked), torch.from_numpy(index), graph)
    return Data(spec, part, part, part)


def trained(algo: str, data: Data, steps: int = 1, **values: Any) -> tuple[dict, dict, Any]:
    """Weights before; how far each has moved down (at SGD rate 1, its gradient); the loop, at the end of its run."""
    chosen = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "weight_decay": 0.0, "patience": None, "net": "gnn"}
    chosen["conv"] = "gcn"
    trainer = make(algo, **{"epochs": steps, "hidden": (H,), **chosen, **values})
    loop = loop_of(trainer, data, precision="fp64", validate_every=1)
    before = values_of(trainer)
    loop.run()
    after = values_of(trainer)
    return before, {name: before[name] - 1.0 * after[name] for name in before}, loop
