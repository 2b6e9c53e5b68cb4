"""Streamed ridge regression against numpy, in both forms, blocked or not, and its memory."""

import numpy as np
import pytest
import torch

from bpfree.functional.closed_form import StreamedRidge
from bpfree.training.memory import LiveMemory


def problem(rows: int, features: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    h = torch.randn(rows, features, generator=generator, dtype=torch.float64)
    return h, torch.randn(rows, 3, generator=generator, dtype=torch.float64)


def streamed(h: torch.Tensor, y: torch.Tensor, batch: int, ridge: float) -> np.ndarray:
    fit = StreamedRidge(h.shape[1], y.shape[1])
    for rows, targets in zip(h.split(batch), y.split(batch), strict=True):
        fit.add(rows, targets)
    return fit.solve(ridge).numpy()


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 37])
@pytest.mark.parametrize("batch", [1, 4, 40])
def test_equals_the_normal_equations_whatever_the_batches_and_blocks(rows: int, batch: int, monkeypatch):
    """Blocks of 4 rows and columns, ragged ones among them; 10 features."""
    monkeypatch.setattr(StreamedRidge, "ROWS", 4)
    h, y = problem(rows, 10)
    gram = h.numpy().T @ h.numpy()
    expected = np.linalg.solve(gram + 0.1 * np.trace(gram) / 10 * np.eye(10), h.numpy().T @ y.numpy())
    np.testing.assert_allclose(streamed(h, y, batch, 0.1), expected, rtol=0, atol=1e-12)


def test_without_ridge_and_with_few_rows_it_is_the_smallest_exact_solution():
    h, y = problem(6, 10)
    np.testing.assert_allclose(streamed(h, y, 4, 0.0), np.linalg.pinv(h.numpy()) @ y.numpy(), rtol=0, atol=1e-11)


def test_sums_are_in_double_precision_for_rows_of_single():
    """1 + 1e-4 squared keeps its 1e-8, which float32 would lose."""
    h = torch.full((1000, 1), 1 + 1e-4, dtype=torch.float32)
    fit = StreamedRidge(1, 1)
    fit.add(h, torch.ones(1000, 1))
    gram, _ = fit.sum_up(h.device)
    assert gram.item() == pytest.approx(1000 * float(h[0, 0].double()) ** 2, rel=1e-13)


def test_the_scale_of_the_features_does_not_matter():
    h, y = problem(30, 8)
    np.testing.assert_allclose(streamed(1e3 * h, y, 7, 0.2) * 1e3, streamed(h, y, 7, 0.2), rtol=0, atol=1e-12)


def test_a_singular_matrix_is_an_error():
    h = torch.ones(5, 2, dtype=torch.float64)
    with pytest.raises(torch.linalg.LinAlgError):
        streamed(h, h, 5, 0.0)


def peak(rows: int, features: int = 512, batch: int = 64) -> int:
    with LiveMemory() as memory:
        fit = StreamedRidge(features, 10)
        for _ in range(rows // batch):
            fit.add(torch.zeros(batch, features), torch.zeros(batch, 10))
        fit.gram.fill_diagonal_(1.0)
        fit.solve(0.1)
    return memory.peak


def test_memory_does_not_grow_with_the_rows(monkeypatch):
    monkeypatch.setattr(StreamedRidge, "ROWS", 64)
    assert peak(8192) == peak(1024)


def test_memory_is_two_matrices_in_double_precision(monkeypatch):
    """Memory is 16 d^2 bytes and blocks of rows, with a tenth of it for the rest, at an eighth of d in the blocks."""
    monkeypatch.setattr(StreamedRidge, "ROWS", 64)
    assert peak(1024) <= 1.1 * 16 * 512**2
