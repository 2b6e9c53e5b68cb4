"""The nets for sequences, ``gru`` and ``conv1d``: their equations, their parameters, and that they learn."""

import numpy as np
import pytest
import torch
from small import fit

from bpfree import nets
from bpfree.data.sources import TensorSource
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec

SPEC = Spec("spikes", (12, 6), 2, None, "classification", "accuracy", True, "", "")


def net(name: str, hidden_only: bool = False, **values) -> list[torch.nn.Module]:
    build, settings = nets.net(name)
    return build(SPEC, settings(**values), hidden_only=hidden_only)


def test_gru_is_its_equations():
    """r, z, n and h of Cho et al. in numpy, float64; torch stacks the weights of r, z and n."""
    (block,) = net("gru", hidden_only=True, hidden=(5,))
    block = block.double()
    x = torch.randn(3, 12, 6, dtype=torch.float64)
    w, u, b, c = (p.detach().numpy() for p in block.parameters())

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    h = np.zeros((3, 5))
    for t in range(12):
        wx, uh = np.split(x[:, t].numpy() @ w.T + b, 3, 1), np.split(h @ u.T + c, 3, 1)
        r, z = sigmoid(wx[0] + uh[0]), sigmoid(wx[1] + uh[1])
        h = (1 - z) * np.tanh(wx[2] + r * uh[2]) + z * h
        np.testing.assert_allclose(block(x)[:, t].detach().numpy(), h, rtol=0, atol=1e-12)


def test_conv1d_sees_the_present_and_the_past():
    """A spike at t changes nothing before t, and nothing from t + kernel on."""
    (block,) = net("conv1d", hidden_only=True, hidden=(4,), kernel=3)
    block = block.eval()
    x = torch.zeros(1, 12, 6)
    quiet, x[0, 5, 2] = block(x), 1.0
    changes = (block(x) - quiet).abs().sum(2)[0] > 0
    assert changes.nonzero()[:, 0].tolist() == [5, 6, 7]
    taps = block.conv.weight[:, 2].T.flip(0)  # (kernel, out): what is heard 0, 1 and 2 steps later
    expected = (taps / (1 + 1e-5) ** 0.5).relu()  # batch norm that has seen nothing
    torch.testing.assert_close(block(x)[0, 5:8], expected)


@pytest.mark.parametrize(
    ("name", "values", "parameters"),
    [
        ("gru", {"hidden": (5, 7)}, 3 * (5 * 6 + 5 * 5 + 10) + 3 * (7 * 5 + 7 * 7 + 14) + 2 * 7 + 2),
        ("conv1d", {"hidden": (5, 7), "kernel": 3}, 3 * 5 * 6 + 10 + 3 * 7 * 5 + 14 + 2 * 7 + 2),
    ],
)
def test_parameters_and_shapes(name: str, values: dict, parameters: int):
    blocks = net(name, **values)
    assert len(blocks) == 3
    assert sum(p.numel() for block in blocks for p in block.parameters()) == parameters
    h = torch.randn(4, 12, 6)
    shapes = []
    for block in blocks:
        h = block(h)
        shapes.append(tuple(h.shape))
    assert shapes == [(4, 12, 5), (4, 12, 7), (4, 2)]


@pytest.mark.parametrize("name", ["gru", "conv1d"])
def test_images_are_refused(name: str):
    build, settings = nets.net(name)
    images = Spec("mnist", (1, 28, 28), 10, None, "classification", "accuracy", True, "", "")
    with pytest.raises(
        InputError, match=f"net {name} needs sequences .*not inputs of shape .1, 28, 28.: try --net mlp"
    ):
        build(images, settings(), hidden_only=False)


def order_of_two(n: int, seed: int) -> TensorSource:
    """Two channels spike once each, 2 to 4 steps apart: the class is which one is first. Counts alone say nothing."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=rng)
    first = torch.randint(0, 6, (n,), generator=rng)
    second = first + torch.randint(2, 5, (n,), generator=rng)
    x = torch.zeros(n, 12, 6)
    x[torch.arange(n), first, y] = 1.0
    x[torch.arange(n), second, 1 - y] = 1.0
    return TensorSource(x, y)


@pytest.mark.parametrize("name", ["gru", "conv1d"])
def test_backprop_learns_the_order_of_two_spikes(name: str):
    data = Data(SPEC, order_of_two(400, 0), order_of_two(200, 1), order_of_two(400, 2))
    values = {"lr": 0.01, "optimizer": "adam", "batch_size": 50, "epochs": 12}
    loop = fit("backprop", data, net=name, hidden=(16,), **values)
    assert loop.evaluate(data.test) > 0.95
