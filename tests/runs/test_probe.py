"""The probe's readout against numpy."""

import numpy as np
import pytest
import torch

from bpfree.runs.probe import Probe

N, F, C = 40, 6, 3


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_the_probe_is_ridge_regression_on_centred_features_and_classes(ridge):
    """W = (X'X + r I)^-1 X'Y with X, Y centred, r = ridge * trace(X'X) / n; far from zero, where centring matters."""
    rng = np.random.default_rng(0)
    y, y_val = rng.integers(0, C, N), rng.integers(0, C, N)
    x, x_val = (5 + np.eye(C)[labels] @ rng.normal(size=(C, F)) + rng.normal(size=(N, F)) for labels in (y, y_val))
    mean, onehot = x.mean(0), np.eye(C)[y]
    gram = (x - mean).T @ (x - mean)
    right = (x - mean).T @ (onehot - onehot.mean(0))
    weights = np.linalg.solve(gram + ridge * np.trace(gram) / F * np.eye(F), right)
    expected = (((x_val - mean) @ weights + onehot.mean(0)).argmax(1) == y_val).mean()
    found = Probe(ridge=ridge).accuracy(*map(torch.from_numpy, (x, y, x_val, y_val)), C)
    assert found == pytest.approx(expected, abs=1e-12)


def test_out_of_a_dead_block_the_probe_reads_the_most_frequent_class():
    """All outputs are equal: nothing can be read from them, and the validation rows of that class are right."""
    y, y_val = torch.tensor([0] * 10 + [1] * 20 + [2] * 5), torch.tensor([0, 1, 1, 2])
    assert Probe().accuracy(torch.full((35, F), 0.1), y, torch.full((4, F), 0.1), y_val, C) == 0.5
