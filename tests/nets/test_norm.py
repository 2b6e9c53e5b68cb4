"""Batch normalisation of a channel that has a single value."""

import pytest
import torch
from torch import nn

from bpfree.nets._norm import BatchNorm1d, BatchNorm2d
from bpfree.rules.local_loss import LocalLoss

CASES = pytest.mark.parametrize(
    ("ours", "torchs", "size"), [(BatchNorm1d, nn.BatchNorm1d, ()), (BatchNorm2d, nn.BatchNorm2d, (1, 1))]
)


def worked(norm: nn.Module, *size: int) -> nn.Module:
    """A norm whose running statistics are those of some rows, and whose scale and shift are not 1 and 0."""
    torch.manual_seed(0)
    norm(3 * torch.randn(50, 4, *size, dtype=norm.weight.dtype) + 2)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_()
    return norm


@CASES
def test_a_single_value_is_normalised_by_the_running_statistics(ours, torchs, size):
    """Computed by hand: (h - mean) / sqrt(var + eps) * scale + shift, of the running mean and variance, which stay."""
    norm, h = worked(ours(4).double(), *size), torch.randn(1, 4, *size, dtype=torch.float64)
    before = {name: value.clone() for name, value in norm.named_buffers()}
    z = (h.flatten(1) - before["running_mean"]) / (before["running_var"] + norm.eps).sqrt()
    torch.testing.assert_close(norm(h).flatten(1), z * norm.weight + norm.bias, rtol=0, atol=1e-12)
    for name, value in norm.named_buffers():
        assert torch.equal(value, before[name])


@CASES
def test_more_than_one_value_is_torch_s_own(ours, torchs, size):
    h = torch.randn(7, 4, *size)
    assert torch.equal(worked(ours(4), *size)(h), worked(torchs(4), *size)(h))


def test_one_row_of_maps_has_a_variance_of_its_own():
    h = torch.randn(1, 4, 3, 3)
    assert torch.equal(worked(BatchNorm2d(4), 3, 3)(h), worked(nn.BatchNorm2d(4), 3, 3)(h))


@pytest.mark.parametrize("net", [{"net": "vgg8b", "width": 0.01}, {"net": "cnn", "channels": [4] * 4, "norm": "batch"}])
def test_batches_of_one_row_are_learned_by_nets_that_end_without_space(net):
    rule = LocalLoss(**net, epochs=1, batch_size=1)
    (entry,) = rule.fit((torch.rand(12, 3, 16, 16), torch.arange(12) % 2), device="cpu")
    assert entry["epoch"] == 1
