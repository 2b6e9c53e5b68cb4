"""Predictions outside of training are made in one way: `bpfree.training.evaluation`."""

import numpy as np
import pytest
import torch
from small import fit, loop_of, make, run, tiny
from torch import nn

import bpfree
import bpfree.data
from bpfree.rules.mono_forward import MonoForward
from bpfree.runs.probe import Probe
from bpfree.training.evaluation import evaluating

CPU = torch.device("cpu")
SMALL = {"hidden": (12, 11), "epochs": 1, "batch_size": 8}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
def test_a_net_is_asked_in_evaluation_mode_without_gradients_in_its_precision(precision):
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout()).eval())
    before = [module.training for module in net.modules()]

    def ask() -> None:
        with evaluating(net, CPU, precision):
            assert not any(module.training for module in net.modules())
            assert not torch.is_grad_enabled()
            assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
            raise KeyError

    with pytest.raises(KeyError):
        ask()
    assert [module.training for module in net.modules()] == before
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")


def test_a_probe_leaves_frozen_blocks_in_evaluation_mode():
    """A layer-by-layer phase trains one block; what is below is as at test, after a look by the probe too."""
    seen = {}

    class Look:
        def on_epoch(self, loop) -> None:
            seen[loop.trainer.phase.name] = [block.training for block in loop.trainer.blocks]

    fit("mono-forward", tiny(), {"callbacks": [Probe(), Look()]}, schedule="sequential", **SMALL)
    assert seen == {"block 0": [True, True], "block 1": [False, True]}


def test_a_probe_sees_what_the_blocks_put_out_in_the_precision_of_the_run():
    dtypes = set()

    class Noting(Probe):
        def _flat(self, out):
            dtypes.add(out.dtype)
            return super()._flat(out)

    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32), ("fp64", torch.float64)):
        dtypes.clear()
        fit("backprop", tiny(), {"precision": precision, "callbacks": [Noting()]}, **SMALL)
        assert dtypes == {dtype}


def test_a_probe_does_not_give_the_answers_away():
    class Blind(MonoForward):
        def predict(self, batch):
            assert batch.y is None
            return super().predict(batch)

    run(Blind(**SMALL), callbacks=[Probe()])


def test_counting_what_a_prediction_uses_leaves_modes_gradients_and_frozen_weights_as_they_were():
    from bpfree.runs.provenance import parameters

    loop = loop_of(make("random-features", **SMALL), tiny(), precision="bf16")
    loop.trainer.blocks[0].eval()
    before = [(m.training, [p.requires_grad for p in m.parameters(False)]) for m in loop.trainer.modules()]
    weights = [49 * 12 + 12, 12 * 11 + 11, 11 * 10 + 10]
    assert parameters(loop) == {"trained": weights[2], "stored": sum(weights), "inference": sum(weights)}
    assert [(m.training, [p.requires_grad for p in m.parameters(False)]) for m in loop.trainer.modules()] == before
    assert all(p.grad is None for p in loop.trainer.parameters())


def test_a_model_on_a_graph_predicts_in_the_precision_of_its_run(tmp_path):
    """bf16 rounds the products: what comes back is what the rule says under autocast, and not what it says in fp32."""
    n, classes = 30, 3
    ring = np.arange(n)
    graph = tmp_path / "ring.npz"
    np.savez(
        graph,
        **{"adj_matrix.indptr": np.arange(n + 1), "adj_matrix.indices": (ring + 1) % n},
        **{"adj_matrix.shape": np.array([n, n]), "labels": ring % classes},
        attr_matrix=np.random.default_rng(0).random((n, 6)),
    )
    values = {"hidden": (8,), "epochs": 2, "precision": "bf16", "threads": 1, "device": "cpu"}
    edges = {"edges": "symmetrise"}
    bpfree.train("backprop", f"graph:{graph}", out=tmp_path / "run", meter="none", **values, **edges)
    test = bpfree.data.load(f"graph:{graph}", edges).test
    (batch,) = test.batches(1000)

    def said(low: bool) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            return model.trainer.predict(batch).float()

    model = bpfree.load(tmp_path / "run")
    assert model.predict(test).equal(said(True))
    assert not said(True).equal(said(False))
