"""The convolutional autoencoder."""

import pytest
import torch
from torch import nn

from bpfree.errors import InputError
from bpfree.nets import autoencoder
from bpfree.nets._norm import BatchNorm2d
from bpfree.training.data import Spec


def spec(*shape: int, task: str = "reconstruction") -> Spec:
    return Spec("s", shape, 0, None, task, "mse", False, "", "")


def build(*shape: int, encoder: tuple[int, ...] = (4, 5)) -> list[nn.Module]:
    return autoencoder.build(spec(*shape), autoencoder.Settings(encoder=encoder), hidden_only=False)


def kernels(block: nn.Module) -> torch.Tensor:
    (kernel,) = block.parameters()
    return kernel.detach()


def test_maps_of_the_published_net():
    """96x96 through 128, 256, 1024 and 2048 channels; the convolutions are compared, not run."""
    blocks = build(3, 96, 96, encoder=(1, 2, 8, 16))
    h, sizes = torch.zeros(1, 3, 96, 96), []
    for block in blocks:
        h = block.eval()(h)
        sizes.append(tuple(h.shape[1:]))
    assert sizes == [
        (1, 48, 48),
        (2, 24, 24),
        (8, 12, 12),
        (16, 6, 6),
        (8, 12, 12),
        (2, 24, 24),
        (1, 48, 48),
        (3, 96, 96),
    ]
    assert autoencoder.Settings().encoder == (128, 256, 1024, 2048)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 9), (2, 1, 1)])
def test_the_output_has_the_shape_of_the_input(shape: tuple[int, int, int]):
    h = torch.rand(2, *shape)
    for block in build(*shape):
        h = block.eval()(h)
    assert h.shape == (2, *shape)


def test_the_last_block_is_linear_and_has_no_normalisation():
    kinds = [[type(m) for m in block] for block in build(1, 8, 8)]
    assert kinds[0] == [nn.Conv2d, BatchNorm2d, nn.ReLU]
    assert kinds[2] == [nn.Upsample, nn.Conv2d, BatchNorm2d, nn.ReLU]
    assert kinds[3] == [nn.Upsample, nn.Conv2d]


def test_kernels_begin_orthogonal_small_behind_upsampling_and_zero_at_the_image():
    """Rows of an orthogonal kernel are orthonormal where there are no more of them than columns."""
    encoder, deeper, decoder, last = map(kernels, build(3, 16, 16, encoder=(4, 5)))
    for kernel, gain in ((encoder, 1.0), (deeper, 1.0), (decoder, 0.001)):
        rows = kernel.flatten(1)
        torch.testing.assert_close(rows @ rows.T, gain**2 * torch.eye(len(rows)), rtol=0, atol=1e-5 * gain**2)
    assert last.eq(0).all()


@pytest.mark.parametrize("bad", [spec(8), spec(1, 8, 8, task="classification")])
def test_other_tasks_and_inputs_are_refused(bad: Spec):
    with pytest.raises(InputError, match=r"try --task reconstruction|takes images \(channels, height, width\)"):
        autoencoder.build(bad, autoencoder.Settings(), hidden_only=False)


def test_an_encoder_without_layers_is_refused():
    with pytest.raises(InputError, match="at least one"):
        autoencoder.build(spec(1, 8, 8), autoencoder.Settings(encoder=()), hidden_only=False)
