"""Reader of graphs: from a name to a graph that is checked, cleaned and split."""

from collections.abc import Mapping
from typing import Any

import torch

from bpfree.config.settings import build
from bpfree.data.graphs.cleaning import clean_graph
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.splits import link_data, node_data
from bpfree.data.reader import Reader
from bpfree.training.data import Data


class GraphReader(Reader):
    """Base class of readers of graphs, which define ``read``."""

    Settings = GraphSettings
    net = "gnn"

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        raise NotImplementedError

    def load(self, settings: Mapping[str, Any] | GraphSettings | None = None, seed: int = 0) -> Data:  # type: ignore[override]
        settings = graph_settings(settings)
        return split_graph(clean_graph(self.read(settings), settings), settings, seed)

    def describe(self, settings: Mapping[str, Any] | GraphSettings | None = None, seed: int = 0) -> dict[str, Any]:  # type: ignore[override]
        settings = graph_settings(settings)
        raw = clean_graph(self.read(settings), settings)
        data = split_graph(raw, settings, seed)
        degree = torch.bincount(raw.edges.flatten(), minlength=len(raw.x))
        labelled = raw.y[raw.y >= 0]
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
            "per_class": torch.bincount(labelled).tolist(),
            "unlabelled": len(raw.y) - len(labelled),
            "rows": {part: len(getattr(data, part)) for part in ("train", "val", "test")},
            "sha256": raw.sha256,
            "source": raw.source,
            "notes": list(data.notes),
        }


def graph_settings(settings: Mapping[str, Any] | GraphSettings | None) -> GraphSettings:
    """Settings of a graph from a mapping of some of them."""
    return settings if isinstance(settings, GraphSettings) else build(GraphSettings, settings or {})


def split_graph(raw: RawGraph, settings: GraphSettings, seed: int) -> Data:
    """Split a clean graph for the task of the settings.

    Args:
        raw: a clean graph.
        settings: of the data.
        seed: of the run.

    Returns:
        The data, ready to train on.

    Raises:
        InputError: a split that is not possible.
    """
    return (node_data if settings.task == "node-classification" else link_data)(raw, settings, seed)
