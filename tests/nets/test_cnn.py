"""The convolutional net."""

import pytest
import torch
from torch import nn

from bpfree.errors import InputError
from bpfree.nets import cnn
from bpfree.nets._norm import BatchNorm2d
from bpfree.training.data import Spec


def spec(*shape: int) -> Spec:
    return Spec("s", shape, 10, None, "classification", "accuracy", True, "", "")


def test_published_net_has_these_maps_on_cifar():
    """Flattened map sizes of Mono-Forward's notes for 32x32: 16384, 8192, 4096, 2048."""
    h, sizes = torch.zeros(1, 3, 32, 32), []
    for block in cnn.build(spec(3, 32, 32), cnn.Settings(), hidden_only=True):
        h = block(h)
        sizes.append(h.numel())
    assert sizes == [16384, 8192, 4096, 2048]


def test_published_net_has_these_maps_on_mnist():
    """12544, 6272, 2304, 512 for 28x28."""
    h, sizes = torch.zeros(1, 1, 28, 28), []
    for block in cnn.build(spec(1, 28, 28), cnn.Settings(), hidden_only=True):
        h = block(h)
        sizes.append(h.numel())
    assert sizes == [12544, 6272, 2304, 512]


def test_classifier_gives_one_score_a_class():
    h = torch.zeros(2, 1, 9, 11)
    for block in cnn.build(spec(1, 9, 11), cnn.Settings(channels=(4, 5)), hidden_only=False):
        h = block(h)
    assert h.shape == (2, 10)


def test_batch_norm_stands_between_convolution_and_activation():
    block = cnn.build(spec(1, 8, 8), cnn.Settings(channels=(4,), norm="batch"), hidden_only=True)[0]
    assert [type(part) for part in block] == [nn.Conv2d, BatchNorm2d, nn.ReLU, nn.AvgPool2d]


def test_cascaded_forward_s_net_has_these_maps_on_cifar_and_mnist():
    """8192 features from every block of 32, 128 and 512 channels for 32x32; 6272, 6272, 4608 for 28x28."""
    settings = cnn.Settings(channels=(32, 128, 512), pool="max", norm="after-pool")
    for shape, expected in {(3, 32, 32): [8192, 8192, 8192], (1, 28, 28): [6272, 6272, 4608]}.items():
        h, sizes = torch.zeros(1, *shape), []
        for block in cnn.build(spec(*shape), settings, hidden_only=True):
            assert [type(part) for part in block] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, BatchNorm2d]
            h = block.eval()(h)
            sizes.append(h.numel())
        assert sizes == expected


def test_max_pooling_by_option():
    block = cnn.build(spec(1, 8, 8), cnn.Settings(channels=(4,), pool="max"), hidden_only=True)[0]
    assert isinstance(block[-1], nn.MaxPool2d)


def test_flat_inputs_are_refused_with_a_way_out():
    with pytest.raises(InputError, match=r"needs images.*--net mlp"):
        cnn.build(spec(20), cnn.Settings(), hidden_only=True)


def test_too_many_poolings_are_refused():
    with pytest.raises(InputError, match="4 poolings leave nothing of 8x15"):
        cnn.build(spec(1, 8, 15), cnn.Settings(), hidden_only=True)


def test_as_many_poolings_as_fit_are_fine():
    blocks = cnn.build(spec(1, 16, 16), cnn.Settings(), hidden_only=True)
    h = torch.zeros(1, 1, 16, 16)
    for block in blocks:
        h = block(h)
    assert h.shape[2:] == (1, 1)


def test_activation_and_biases_by_option():
    blocks = cnn.build(spec(1, 8, 8), cnn.Settings(channels=(4,), activation="elu", bias=False), hidden_only=False)
    assert isinstance(blocks[0][1], nn.ELU)
    assert [p.dim() for block in blocks for p in block.parameters()] == [4, 2]


def test_images_as_outputs_are_refused_with_a_way_out():
    pictures = Spec("s", (1, 8, 8), 0, None, "reconstruction", "mse", False, "", "")
    with pytest.raises(InputError, match="try --net autoencoder"):
        cnn.build(pictures, cnn.Settings(channels=(4,)), hidden_only=False)


def test_classes_of_a_grouped_convolution_do_not_see_each_other():
    """With one group a class, the channels of class c depend on those of class c below and on no others."""
    settings = cnn.Settings(channels=(20, 40), groups=10, pool_every=2)
    block = cnn.build(spec(1, 6, 6), settings, hidden_only=True)[1]
    h = torch.randn(2, 20, 6, 6)
    changed = h.clone()
    changed[:, 6:8] += 1  # class 3's
    differs = (block(h) - block(changed)).abs().amax((0, 2, 3)) > 0  # (40,)
    assert differs.view(10, 4).any(1).tolist() == [c == 3 for c in range(10)]


def test_channel_wise_forward_forward_s_net_has_these_maps_on_cifar():
    """20x32x32, 80x16x16, 240x16x16, 480x8x8: the second and fourth convolution pool, and have ten groups."""
    settings = cnn.Settings(channels=(20, 80, 240, 480), groups=10, pool="max", pool_every=2, norm="after-pool")
    h, shapes, weights = torch.zeros(1, 3, 32, 32), [], []
    for block in cnn.build(spec(3, 32, 32), settings, hidden_only=True):
        h = block.eval()(h)
        shapes.append(tuple(h.shape[1:]))
        weights.append(block[0].weight.numel())
    assert shapes == [(20, 32, 32), (80, 16, 16), (240, 16, 16), (480, 8, 8)]
    assert weights == [3 * 20 * 9, 20 * 80 * 9 // 10, 80 * 240 * 9, 240 * 480 * 9 // 10]


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(InputError, match="7 groups do not divide 20 and 40 channels"):
        cnn.build(spec(1, 8, 8), cnn.Settings(channels=(20, 40), groups=7), hidden_only=True)
