"""Sparsemax is the projection onto the simplex, and its loss the one whose gradient is p - y."""

import pytest
import torch
from torch.autograd import gradcheck

from bpfree.functional.sparsemax import sparsemax, sparsemax_loss


def scores(rows: int = 200, classes: int = 6) -> torch.Tensor:
    return 2 * torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_by_hand():
    """One clear winner; two that share; three that share: tau = 1, 0.25, 0.2."""
    z = torch.tensor([[2.0, 0.5, 0.0], [0.75, 0.75, 0.2], [0.5, 0.6, 0.5]], dtype=torch.float64)
    p = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.3, 0.4, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(sparsemax(z), p, rtol=0, atol=1e-15)


def test_is_the_projection():
    """Onto a convex set: <z - p, q - p> <= 0 for every other point q of it; its corners are enough."""
    z = scores()
    p = sparsemax(z)
    torch.testing.assert_close(p.sum(1), torch.ones(len(z), dtype=z.dtype), rtol=0, atol=1e-14)
    assert (p >= 0).all()
    towards_corners = (z - p) - ((z - p) * p).sum(1, keepdim=True)  # (B, C): <z - p, e_j - p>
    assert towards_corners.max() <= 1e-12


def test_moves_with_nothing_that_is_added_to_all_scores():
    torch.testing.assert_close(sparsemax(scores() + 5), sparsemax(scores()), rtol=0, atol=1e-14)


def test_loss_is_the_formula_of_the_paper():
    """-z_y + 1/2 sum over the support of (z_j^2 - tau^2) + 1/2, with tau = z_j - p_j there."""
    z, y = scores(), torch.arange(200) % 6
    p = sparsemax(z)
    tau = (z - p).masked_fill(p == 0, -torch.inf).max(1, keepdim=True).values
    expected = -z[torch.arange(200), y] + 0.5 * ((z**2 - tau**2) * (p > 0)).sum(1) + 0.5
    assert sparsemax_loss(z, y).item() == pytest.approx(expected.mean().item(), abs=1e-13)


def test_gradient_is_p_minus_y():
    z, y = scores().requires_grad_(), torch.arange(200) % 6
    sparsemax_loss(z, y).backward()
    expected = (sparsemax(z.detach()) - torch.eye(6, dtype=z.dtype)[y]) / 200
    torch.testing.assert_close(z.grad, expected, rtol=0, atol=1e-15)


def test_gradient_is_that_of_the_loss():
    """Finite differences, although the loss takes p as fixed."""
    assert gradcheck(lambda z: sparsemax_loss(z, torch.arange(8) % 6), scores(8).requires_grad_())


def test_loss_is_zero_from_a_margin_of_one_on():
    z = torch.tensor([[1.0, 0.0, -2.0], [0.9, 0.0, -2.0]], dtype=torch.float64)
    assert sparsemax_loss(z[:1], torch.zeros(1, dtype=torch.long)) == 0
    assert sparsemax_loss(z[1:], torch.zeros(1, dtype=torch.long)) > 0
