"""The feedback net of a net."""

import pytest
import torch
from torch import nn

from bpfree.errors import InputError
from bpfree.nets import autoencoder, cnn, mlp
from bpfree.nets._mirror import mirror
from bpfree.nets._norm import BatchNorm2d
from bpfree.training.data import Spec


def spec(*shape: int, task: str = "classification") -> Spec:
    return Spec("s", shape, 10, None, task, "accuracy", True, "", "")


def shapes_of(blocks: list[nn.Module], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    h, shapes = torch.zeros(2, *shape), [shape]
    for block in blocks:
        h = block.eval()(h)
        shapes.append(tuple(h.shape[1:]))
    return shapes


NETS = {
    "mlp": (mlp.build(spec(1, 4, 5), mlp.Settings(hidden=(7, 6)), hidden_only=False), (1, 4, 5)),
    "cnn": (cnn.build(spec(3, 16, 16), cnn.Settings(channels=(4, 5, 6)), hidden_only=False), (3, 16, 16)),
    "cnn, odd sizes": (cnn.build(spec(1, 9, 15), cnn.Settings(channels=(4, 5)), hidden_only=False), (1, 9, 15)),
    "autoencoder": (
        autoencoder.build(
            spec(1, 9, 14, task="reconstruction"), autoencoder.Settings(encoder=(3, 4)), hidden_only=False
        ),
        (1, 9, 14),
    ),
    "own convolution without padding": ([nn.Conv2d(2, 3, 3), nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU())], (2, 9, 9)),
}


@pytest.mark.parametrize("name", NETS)
def test_every_mirrored_block_maps_back_what_its_block_maps(name: str):
    blocks, shape = NETS[name]
    shapes = shapes_of(blocks, shape)
    for k, back in enumerate(mirror(blocks, shapes)):
        assert back.eval()(torch.zeros(2, *shapes[k + 1])).shape == (2, *shapes[k])


def test_groups_are_mirrored():
    settings = cnn.Settings(channels=(4, 6), groups=2)
    blocks = cnn.build(spec(1, 8, 8), settings, hidden_only=True)
    _, back = mirror(blocks, shapes_of(blocks, (1, 8, 8)))
    assert back[1].weight.shape == (4, 3, 3, 3)  # each half of the 4 sees a half of the 6


def test_weights_of_a_perceptron_are_transposed_in_shape():
    blocks, shape = NETS["mlp"]
    back = mirror(blocks, shapes_of(blocks, shape))
    pairs = zip(nn.ModuleList(blocks).parameters(), nn.ModuleList(back).parameters(), strict=True)
    assert all(p.shape == q.shape[::-1] for p, q in pairs if p.dim() == 2)


def test_a_level_is_made_alike_from_both_sides_and_the_input_is_linear():
    """Normalisation and activation behind each mirrored layer are those of the block below; none at the end."""
    blocks = cnn.build(spec(1, 8, 8), cnn.Settings(channels=(4, 5), norm="batch", activation="elu"), hidden_only=False)
    back = mirror(blocks, shapes_of(blocks, (1, 8, 8)))
    kinds = [[type(m) for m in block] for block in back]
    assert kinds == [
        [nn.Upsample, nn.Conv2d],
        [nn.Upsample, nn.Conv2d, BatchNorm2d, nn.ELU],
        [nn.Flatten, nn.Linear, nn.Unflatten, BatchNorm2d, nn.ELU],
    ]


@pytest.mark.parametrize("bias", [True, False])
def test_layers_have_biases_where_the_net_has(bias: bool):
    blocks = mlp.build(spec(8), mlp.Settings(hidden=(7,), bias=bias), hidden_only=False)
    back = nn.ModuleList(mirror(blocks, [(8,), (7,), (10,)]))
    assert sum(p.dim() == 1 for p in back.parameters()) == (2 if bias else 0)


def test_an_upsampled_convolution_is_mirrored_by_a_stride():
    blocks, shape = NETS["autoencoder"]
    back = mirror(blocks, shapes_of(blocks, shape))
    assert [type(block[0]) for block in back] == [nn.Upsample, nn.Upsample, nn.Conv2d, nn.Conv2d]
    assert [block[0].stride for block in back[2:]] == [(2, 2), (2, 2)]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4)), "block 0 holds Linear, Linear: a feedback net mirrors"),
        (nn.Identity(), "block 0 holds no layer with weights"),
        (nn.LSTM(4, 4), "block 0 holds LSTM"),
    ],
)
def test_blocks_of_another_kind_are_refused(block: nn.Module, message: str):
    with pytest.raises(InputError, match=message):
        mirror([block], [(4,), (4,)])


@pytest.mark.parametrize("kernel", [2, (3, 5)])
def test_a_kernel_that_cannot_keep_the_size_is_refused(kernel):
    with pytest.raises(InputError, match="cannot be mirrored: use a square kernel of odd size"):
        mirror([nn.Conv2d(1, 2, kernel)], [(1, 6, 6), (2, 5, 5)])
