"""Gradient transforms."""

import torch

from bpfree.functional.transforms import Centralise, ClipNorm, total_norm


def test_total_norm_is_the_euclidean_norm_of_all_entries():
    assert total_norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]).item() == 5.0


def test_clip_scales_all_gradients_to_the_limit_together():
    grads = [torch.tensor([3.0]), torch.tensor([4.0])]
    ClipNorm(1.0)(grads)
    assert torch.allclose(torch.cat(grads), torch.tensor([0.6, 0.8]))


def test_clip_leaves_small_gradients_alone():
    grads = [torch.tensor([0.3]), torch.tensor([-0.4])]
    ClipNorm(1.0)(grads)
    assert torch.cat(grads).equal(torch.tensor([0.3, -0.4]))


def test_clip_leaves_zero_gradients_zero():
    grads = [torch.zeros(3)]
    ClipNorm(1.0)(grads)
    assert grads[0].equal(torch.zeros(3))


def test_centralise_takes_the_mean_over_the_fan_in_from_every_output():
    grads = [torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])]
    Centralise()(grads)
    assert grads[0].equal(torch.tensor([[-2.0, -1.0, 3.0], [-1.0, -1.0, 2.0]]))


def test_centralise_takes_one_mean_over_channels_and_pixels_of_a_kernel():
    kernel = torch.arange(16.0).reshape(2, 2, 1, 4)  # means 3.5 and 11.5
    grads = [kernel.clone()]
    Centralise()(grads)
    assert grads[0].equal(kernel - torch.tensor([3.5, 11.5]).view(2, 1, 1, 1))


def test_centralise_leaves_vectors_alone():
    grads = [torch.tensor([1.0, 2.0])]
    Centralise()(grads)
    assert grads[0].equal(torch.tensor([1.0, 2.0]))
