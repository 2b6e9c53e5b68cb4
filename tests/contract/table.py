"""The contract table: one canonical small setting per rule variant, what it must reach, and what it opts out of.

To add a rule, add a row. ``reach`` is the test accuracy to reach on `small.digits()`: 1,500 real MNIST digits to learn
from, 1,000 to be tested on, where the nearest class mean is right 78 times in 100 and chance 10 times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

FLAT, SEPARATE, OWN_GRADIENTS = "flat memory", "two processes", "only the owner's gradients"  # may be opted out of
META, BATCHES = "meta device", "batches of rows"


@dataclass(frozen=True)
class Row:
    """One variant.

    Attributes:
        algo: name of the rule.
        values: settings for `small.digits`.
        reach: test accuracy to reach there.
        small: settings instead of the net's in ``values`` where only a few 7x7 digits are learned.
        but: promise -> why this variant cannot give it.
    """

    algo: str
    values: Mapping[str, Any]
    reach: float
    small: Mapping[str, Any] = field(default_factory=lambda: {"hidden": (12, 11, 10)})
    but: Mapping[str, str] = field(default_factory=dict)

    @property
    def tiny(self) -> dict[str, Any]:
        """The same variant on `small.tiny`: two epochs of batches of 8."""
        return {**self.values, "epochs": 2, "batch_size": 8, **self.small}


_GLOBAL = {FLAT: "one loss through the whole net keeps every activation until backward"}
_JOINT = {**_GLOBAL, OWN_GRADIENTS: "its one summed loss trains every owner at once"}
_PEER = {SEPARATE: "peer normalisation follows the mean activity of the process's part of the batch"}
_HYBRID = {SEPARATE: "a negative mixes an image with the next one of the process's part of the batch"}
_READOUT = {FLAT: "the softmax readout is one linear map on the activities of all blocks together"}
_BATCH_NORM = {
    SEPARATE: "batch normalisation follows the statistics of the process's part of the batch",
    FLAT: "every convolution halves the image, so a deeper net is another net; the other rows show it",
}
_NORM_ALONE = {**_BATCH_NORM, FLAT: "one block only, so that its map has more than one pixel; the other rows show it"}
_RECURRENT = {FLAT: "every layer sees the states of its neighbours, so all states live at the same time"}

_NETS = {
    FLAT: "the clip over a whole net needs all its gradients together; its own test counts the activations",
    OWN_GRADIENTS: "a pair trains a layer of the forward and one of the feedback net at once",
}
_CONTRAST = {SEPARATE: "the normalised loss compares the samples of the process's part of the batch"}
_SIMILAR = {SEPARATE: "similarities are between the samples of the process's part of the batch"}
_GRAPH = {
    SEPARATE: "a graph is one batch and is not shared out",
    BATCHES: "a graph is one batch; tests/oracles/test_graph_sampling.py has the batches of nodes",
    META: "a sparse matrix is made from the graph's edges, which have no values there",
    FLAT: "needs the meta device; tests/oracles/test_graph_memory.py counts it on the CPU",
}
_STATES = {**_GRAPH, **_RECURRENT}

_CONSTANT = {"lr_schedule": "constant"}
_BASE = {"net": "mlp", "hidden": (64, 64), "epochs": 6, "batch_size": 25, **_CONSTANT}
_MF = {**_BASE, "lr_schedule": "cosine"}
_LOCAL = {**_BASE, "lr_schedule": "steps", "lr": 2e-3}
_FF = {"hidden": (100, 100), "epochs": 10, "batch_size": 20, "lr": 1e-3, "lr_schedule": "half-linear"}
_FF_ADAM = {**_FF, "optimizer": "adam", "lr": 3e-3}
_CCL = {"hidden": (64, 64), "epochs": 6, "batch_size": 25, **_CONSTANT}
_QUIET = {"photons": None, "read_noise": 0.0, "adc_bits": None}  # noise would differ from call to call
_OPTICS = {
    "net": "optics",
    "outputs": 150,
    "bypass": "none",
    "hidden": (60, 60),
    "inner_steps": 4,
    "epochs": 3,
    **_QUIET,
    **_CONSTANT,
}
_BENCH = {SEPARATE: "there is one instrument, and the label's amplitude follows the process's part of the batch"}
_CAFO = {"net": "mlp", "hidden": (300, 300), "epochs": 5, "batch_size": 25, "lr": 1e-2, **_CONSTANT}
_CAFO_CNN = {"net": "cnn", "channels": (16,), "epochs": 2, "batch_size": 25, "lr": 1e-3, **_CONSTANT}
_GNN = {"net": "gnn", "hidden": (64, 64), "epochs": 16, "lr": 2e-2, **_CONSTANT}
_GNN_FF = {"net": "gnn", "hidden": (64,), "conv": "sage", "negatives": 2, "lr": 1e-2, **_CONSTANT}
_GNN_SMALL = {"hidden": (12, 12), "epochs": 6}  # one batch an epoch: as many steps as the others have
_CNN = {"net": "cnn", "channels": (8, 16), "norm": "batch", "epochs": 3, "batch_size": 25, **_CONSTANT}
_SPIKES = {"net": "delay-snn", "hidden": (100,), "max_delay_ms": 50, "start_width": 1.0, "padding": "causal"}
_SPIKES |= {"dropout": 0.1, "batch_size": 25, "lr": 1e-2, "epochs": 4, "lr_schedule": "one-cycle"}
_SPIKES_SMALL = {"hidden": (11, 12), "max_delay_ms": 30}  # both are best in the first epoch of two
_OVER_TIME = {SEPARATE: "batch normalisation follows the statistics of the process's part of the batch"}
_TWO_OWNERS = {OWN_GRADIENTS: "one loss trains the weights and the positions"}

ROWS = {
    "random-features": Row("random-features", {**_BASE, "hidden": (200,), "epochs": 12, "lr": 1e-2}, 0.80),
    "backprop": Row("backprop", _BASE, 0.85, but=_GLOBAL),
    "backprop, deep supervision": Row("backprop", {**_BASE, "deep_supervision": True}, 0.85, but=_GLOBAL),
    "backprop, less memory": Row(
        "backprop", {**_BASE, "deep_supervision": True, "accumulate": 3, "checkpointing": True}, 0.85, but=_GLOBAL
    ),
    "dfa": Row("dfa", _BASE, 0.85),
    "dfa, batch norm": Row("dfa", _CNN, 0.8, small={"channels": (4, 5)}, but=_BATCH_NORM),
    "fa": Row("fa", _BASE, 0.85, but=_GLOBAL),
    "fa, convolutions": Row(
        "fa", {**_CNN, "norm": "none", "epochs": 5, "lr": 3e-3}, 0.8, small={"channels": (4, 5)}, but=_GLOBAL
    ),
    "gradient-noise": Row("gradient-noise", {**_BASE, "init": "he"}, 0.85, but=_GLOBAL),
    "gradient-noise, replicated": Row(
        "gradient-noise",
        {**_BASE, "init": "he", "net": "replicated-mlp", "replicas": 3, "readout": "2"},
        0.85,
        but=_GLOBAL,
    ),
    "mono-forward": Row("mono-forward", _MF, 0.84),
    "mono-forward, sequential": Row("mono-forward", {**_MF, "schedule": "sequential"}, 0.84),
    "mono-forward, transforms": Row(
        "mono-forward",
        {**_MF, "schedule": "sequential", "centralise": True, "clip": 1.0, "noise_eta": 1e-6},
        0.84,
    ),
    "mono-forward, joint": Row("mono-forward", {**_MF, "schedule": "joint"}, 0.84, but=_JOINT),
    "mono-forward, M_0": Row(
        "mono-forward", {**_MF, "schedule": "sequential", "train_m0": True, "readout": "sum"}, 0.84
    ),
    "mono-forward, batch norm": Row(
        "mono-forward", {**_CNN, "lr_schedule": "cosine"}, 0.84, small={"channels": (4, 5)}, but=_BATCH_NORM
    ),
    "forward-forward": Row("forward-forward", _FF, 0.78, but={**_PEER, **_READOUT}),
    "forward-forward, uniform and energy": Row(
        "forward-forward",
        {**_FF_ADAM, "negatives": "uniform", "readout": "energy", "temperature": 10.0},
        0.78,
        but=_PEER,
    ),
    "forward-forward, sequential": Row(
        "forward-forward", {**_FF, "epochs": 6, "schedule": "sequential"}, 0.78, but={**_PEER, **_READOUT}
    ),
    "forward-forward, unsupervised": Row(
        "forward-forward", {**_FF, "epochs": 12, "negatives": "hybrid", "peer": 0.0}, 0.78, but={**_HYBRID, **_READOUT}
    ),
    "forward-forward, mean goodness": Row(
        "forward-forward",
        {**_FF_ADAM, "goodness": "mean", "threshold": 1.0, "temperature": 0.1, "peer": 0.0, "negatives": "uniform"}
        | {"readout": "energy"},
        0.78,
    ),
    "recurrent-forward-forward": Row(
        "recurrent-forward-forward",
        {**_FF, "hidden": (60, 60), "epochs": 4, "temperature": 6.0},
        0.74,
        but=_RECURRENT,
    ),
    "counter-current": Row("counter-current", _CCL, 0.8, but=_NETS),
    "counter-current, fixed feedback": Row(
        "counter-current", {**_CCL, "feedback": "fixed", "lr": 0.2}, 0.78, but=_NETS
    ),
    "counter-current, normalised and flooded": Row(
        "counter-current",
        {**_CCL, "pair_loss": "normalised", "flood": 0.1, "centralise": True, "warmup_steps": 20},
        0.78,
        but={**_NETS, **_CONTRAST},
    ),
    "counter-current, cnn": Row(
        "counter-current",
        {"net": "cnn", "channels": (6, 12), "epochs": 3, "batch_size": 25, "momentum": 0.5, **_CONSTANT},
        0.78,
        small={"channels": (4, 5)},
        but={**_NETS, **_CONTRAST},
    ),
    "physical-ff": Row("physical-ff", {**_OPTICS, "slots": 8, "batch_size": 50, "lr": 3e-3}, 0.7, but=_BENCH),
    "physical-ff, mixtures": Row(
        "physical-ff",
        {**_OPTICS, "batch_size": 25, "epochs": 8, "lr": 1e-2, "negatives": "mixture"},
        0.6,
        but={**_BENCH, **_READOUT, SEPARATE: "a negative mixes a row with the next one of the process's part"},
    ),
    "reservoir": Row(
        "reservoir",
        {"net": "optics", "hidden": (1,), "ports": 784, "outputs": 300, "ridge": 1e-2, **_QUIET},
        0.78,
    ),
    "cafo": Row("cafo", _CAFO, 0.84),
    "cafo, mse": Row("cafo", {**_CAFO, "predictor": "mse"}, 0.84),
    "cafo, sparsemax, batch norm": Row(
        "cafo", {**_CAFO_CNN, "predictor": "sparsemax"}, 0.84, small={"channels": (4,)}, but=_NORM_ALONE
    ),
    "cafo, dfa": Row(
        "cafo", {**_CAFO, "variant": "dfa", "block_epochs": 4, "block_lr": 3e-3, "hidden": (64, 64)}, 0.84
    ),
    "cafo, dfa, batch norm": Row(
        "cafo",
        {**_CAFO_CNN, "variant": "dfa", "block_epochs": 2, "predictor": "mse"},
        0.84,
        small={"channels": (4,)},
        but=_NORM_ALONE,
    ),
    "local-loss": Row("local-loss", _LOCAL, 0.84, but=_SIMILAR),
    "local-loss, pred": Row("local-loss", {**_LOCAL, "loss": "pred"}, 0.84),
    "local-loss, maps": Row(
        "local-loss",
        {**_CNN, "pool": "avg", "lr_schedule": "steps", "lr": 2e-3},
        0.84,
        small={"channels": (4, 5)},
        but={**_BATCH_NORM, **_SIMILAR},
    ),
    "channel-ff": Row("channel-ff", {**_BASE, "lr": 2e-3}, 0.84, small={"hidden": (30, 20, 21)}),
    "channel-ff, sequential": Row(
        "channel-ff",
        {**_BASE, "lr": 2e-3, "schedule": "sequential", "readout": "sum"},
        0.84,
        small={"hidden": (30, 20, 21)},
    ),
    "channel-ff, maps": Row(
        "channel-ff",
        {**_CNN, "channels": (20, 40, 80), "norm": "after-pool", "pool": "max"},
        0.84,
        small={"channels": (10,)},
        but=_BATCH_NORM,
    ),
    "delay-snn": Row("delay-snn", _SPIKES, 0.78, _SPIKES_SMALL, {**_OVER_TIME, **_TWO_OWNERS, **_GLOBAL}),
    "delay-snn-local": Row("delay-snn-local", _SPIKES, 0.78, _SPIKES_SMALL, {**_OVER_TIME, **_TWO_OWNERS}),
    "cafo, graph": Row("cafo", {**_GNN, "hidden": (300, 300), "row_norm": True, "epochs": 60}, 0.8, _GNN_SMALL, _GRAPH),
    "forward-gnn": Row("forward-gnn", _GNN, 0.85, _GNN_SMALL, _GRAPH),
    "forward-gnn, sage": Row("forward-gnn", {**_GNN, "conv": "sage"}, 0.85, _GNN_SMALL, _GRAPH),
    "forward-gnn, gat": Row("forward-gnn", {**_GNN, "conv": "gat"}, 0.75, _GNN_SMALL, _GRAPH),
    "forward-gnn-ff-la": Row("forward-gnn-ff-la", {**_GNN_FF, "epochs": 40}, 0.8, _GNN_SMALL, _GRAPH),
    "forward-gnn-ff-vn": Row(
        "forward-gnn-ff-vn", {**_GNN_FF, "epochs": 80, "lr": 1e-2, "negatives": 4}, 0.6, _GNN_SMALL, _GRAPH
    ),
    "forward-gnn-top-to-input": Row("forward-gnn-top-to-input", {**_GNN, "passes": 4}, 0.85, _GNN_SMALL, _STATES),
    "forward-gnn-top-to-loss": Row("forward-gnn-top-to-loss", _GNN, 0.75, _GNN_SMALL, _STATES),
}


def rows(promise: str | None = None) -> pytest.MarkDecorator:
    """Run a test for every row, but for those that opt out of ``promise``; the test gets ``row``."""
    rows = [pytest.param(row, id=name) for name, row in ROWS.items() if promise not in row.but]
    return pytest.mark.parametrize("row", rows)
