"""The replicated multi-layer perceptron."""

import pytest
import torch
from small import make
from torch import nn

from bpfree.errors import InputError
from bpfree.nets import mlp, replicated_mlp
from bpfree.training.data import Spec

SPEC = Spec("s", (1, 4, 5), 3, None, "classification", "accuracy", True, "", "")
VALUES = {"hidden": (7, 6), "init": "he", "activation": "tanh"}


def run(blocks: list[nn.Module], h: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        h = block(h)
    return h


def built(hidden_only: bool = False) -> tuple[list[nn.Module], list[list[nn.Module]]]:
    """Three replicas, and the same nets drawn one after another."""
    torch.manual_seed(5)
    replicated = replicated_mlp.build(SPEC, replicated_mlp.Settings(**VALUES, replicas=3), hidden_only=hidden_only)
    torch.manual_seed(5)
    return replicated, [mlp.build(SPEC, mlp.Settings(**VALUES), hidden_only=hidden_only) for _ in range(3)]


def test_every_replica_computes_what_its_net_computes():
    replicated, alone = built()
    x = torch.rand(4, *SPEC.shape)
    assert run(replicated, x).shape == (4, 3, 3)
    for r, net in enumerate(alone):
        assert torch.allclose(run(replicated, x)[:, r], run(net, x), rtol=0, atol=1e-6)


def test_replicas_without_biases():
    torch.manual_seed(5)
    replicated = replicated_mlp.build(
        SPEC, replicated_mlp.Settings(**VALUES, replicas=2, bias=False), hidden_only=False
    )
    torch.manual_seed(5)
    alone = [mlp.build(SPEC, mlp.Settings(**VALUES, bias=False), hidden_only=False) for _ in range(2)]
    x = torch.rand(4, *SPEC.shape)
    for r, net in enumerate(alone):
        assert torch.allclose(run(replicated, x)[:, r], run(net, x), rtol=0, atol=1e-6)


def test_hidden_blocks_alone():
    replicated, _ = built(hidden_only=True)
    assert run(replicated, torch.rand(4, *SPEC.shape)).shape == (4, 3, 6)


def test_replicas_begin_differently():
    weight = next(built()[0][0].parameters())
    assert not weight[0].equal(weight[1])


def test_biases_count_as_biases():
    """One axis: the optimizer's weight decay leaves them alone."""
    assert {p.ndim for block in built()[0] for name, p in block.named_parameters() if name.endswith("bias")} == {1}


@pytest.mark.parametrize("algo", ["backprop", "mono-forward", "dfa"])
def test_rules_that_train_one_net_refuse_many(algo: str):
    with pytest.raises(InputError, match="trains one net, not 3 side by side"):
        make(algo, net="replicated-mlp", replicas=3).build(SPEC)
