"""Metrics."""

import torch

from bpfree.functional.metrics import METRICS, accuracy, mse


def test_accuracy_counts_rows_whose_largest_score_is_the_target():
    scores = torch.tensor([[0.1, 0.9], [2.0, -1.0], [0.0, 5.0]])
    assert accuracy(scores, torch.tensor([1, 0, 0])).item() == 2 / 3


def test_mse_is_the_mean_over_all_entries():
    assert mse(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item() == 2.5


def test_metrics_have_names():
    assert {"accuracy": accuracy, "mse": mse}.items() <= METRICS.items()
