"""Small real data and small runs that many tests share."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import bpfree.data
from bpfree import rules
from bpfree.data.graphs.source import GraphSource
from bpfree.data.sources import TensorSource
from bpfree.graphs.graph import Graph
from bpfree.training.data import Data, Spec
from bpfree.training.loop import Loop
from bpfree.training.trainer import Batch, Trainer


@lru_cache(1)
def mnist() -> tuple[Tensor, Tensor]:
    """MNIST's training images ``(60000, 28, 28)`` uint8 and labels, straight from the embedded file."""
    with np.load(Path(bpfree.data.__file__).with_name("images") / "mnist.npz") as arrays:
        return torch.from_numpy(arrays["x_train"]), torch.from_numpy(arrays["y_train"]).long()


def digits(train: int = 1500, val: int = 500, test: int = 1000, *, pool: int = 1, classes: int = 10) -> Data:
    """Disjoint rows of MNIST in 0..1, ``pool`` x ``pool`` pixels averaged into one, of the first classes."""
    images, labels = mnist()
    rows = (labels < classes).nonzero()[: train + val + test, 0]
    x = F.avg_pool2d(images[rows, None].float() / 255, pool)
    train_set, val_set, test_set = (
        TensorSource(*part)
        for part in zip(x.split([train, val, test]), labels[rows].split([train, val, test]), strict=True)
    )
    spec = Spec("digits", tuple(x.shape[1:]), classes, None, "classification", "accuracy", True, "", "MNIST")
    return Data(spec, train_set, val_set, test_set)


def tiny(train: int = 22, val: int = 8, test: int = 16, classes: int = 10) -> Data:
    """A few 7x7 digits, for promises that do not depend on how well anything learns."""
    return digits(train, val, test, pool=4, classes=classes)


def make(algo: str, **values: Any) -> Trainer:
    """A trainer of the rule called ``algo``."""
    return rules.rule(algo)(**values)


def on_graph(data: Data, virtual: bool = False, neighbours: int = 6) -> Data:
    """The same rows as nodes of one graph: training, validation, test rows, each linked to its nearest neighbours.

    A test part that is not a plain `TensorSource` stays what it is.
    """
    parts = (data.train, data.val, data.test)
    x, y = torch.cat([part.x.flatten(1) for part in parts]), torch.cat([part.y for part in parts])
    x = x / x.sum(1, keepdim=True)  # as the features of a graph are by default
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(min(neighbours, len(x) - 1), largest=False).indices
    edges = torch.stack([torch.arange(len(x)).repeat_interleave(near.shape[1]), near.flatten()])
    keys = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    train, val, test = torch.arange(len(x)).split([len(part) for part in parts])
    labels, context = torch.full_like(y, -1), torch.full_like(y, -1)
    labels[train], context[train], context[val] = y[train], y[train], y[val]
    classes = data.spec.classes if virtual else 0
    x = torch.cat([x, torch.randn(classes, x.shape[1], generator=torch.Generator().manual_seed(0))])
    graph = Graph(keys, len(y), classes, labels, labels, labels)
    kept = type(data.test) is TensorSource
    spec = replace(data.spec, shape=tuple(x.shape[1:]), task="node-classification", nodes=len(x))
    later = GraphSource(x, y[test], test, replace(graph, context=context)) if kept else data.test
    return Data(spec, GraphSource(x, y[train], train, graph), GraphSource(x, y[val], val, graph), later)


def loop_of(trainer: Trainer, data: Data, **options: Any) -> Loop:
    """A loop on the CPU with one thread; a graph net gets the rows as nodes of one."""
    graph_net = trainer._build_net is not None and trainer._build_net.func.__module__ == "bpfree.nets.gnn"
    if graph_net and isinstance(data.train, TensorSource):
        data = on_graph(data, trainer.prefer.get("virtual_nodes", False))
    return Loop(trainer, data, **{"device": "cpu", "threads": 1, **options})


def run(trainer: Trainer, data: Data | None = None, **options: Any) -> Loop:
    """The loop of a run that went to its end."""
    loop = loop_of(trainer, data or tiny(), **options)
    loop.run()
    return loop


def fit(algo: str, data: Data, options: dict[str, Any] | None = None, **values: Any) -> Loop:
    """The same for the rule called ``algo``."""
    return run(make(algo, **values), data, **(options or {}))


def ready(loop: Loop, phase: int = -1) -> Batch:
    """Bring ``loop`` to the beginning of a phase, as `Loop.run` would, so that `Loop.learn` works; its first batch."""
    loop.data = loop.data.to(loop.device, loop.settings.resident_mb)
    loop.enter_phase(loop.phases[phase])
    source = loop.prepared_source()
    loop.training_mode()
    loop.trainer.on_pass()
    return next(source.batches(loop.rule.batch_size))


def snapshot(trainer: Trainer) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in trainer.state_dict().items()}


def weights_hash(trainer: Trainer) -> str:
    """SHA-256 over names and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(trainer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def outcome(loop: Loop) -> dict[str, Any]:
    """All that a resumed run must share with an unbroken one: weights, test predictions, history without its times."""
    assert loop.data.test is not None
    return {
        "weights": weights_hash(loop.trainer),
        "predictions": loop.scores(loop.data.test)[0].tolist(),
        "history": [
            {key: value for key, value in entry.items() if key not in ("train_s", "train_j")} for entry in loop.history
        ],
    }
