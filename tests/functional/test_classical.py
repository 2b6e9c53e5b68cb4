"""Yardsticks against numpy: the discriminant of theory, the neighbour by search."""

import numpy as np
import torch

from bpfree.functional.classical import discriminant, nearest

RNG = np.random.default_rng(0)
Y = RNG.permutation(np.arange(60) % 3)
X = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) + 1.5 * RNG.normal(size=(3, 4))[Y]
Q = RNG.normal(size=(40, 4)) * 3


def test_discriminant_is_the_largest_gaussian_density_with_one_covariance():
    means = np.stack([X[c == Y].mean(0) for c in range(3)])
    within = X - means[Y]
    inverse = np.linalg.inv(within.T @ within / (60 - 3))
    apart = Q[:, None] - means
    density = -np.einsum("qci,ij,qcj->qc", apart, inverse, apart) / 2 + np.log(np.bincount(Y))
    classes = discriminant(torch.from_numpy(X), torch.from_numpy(Y), torch.from_numpy(Q))
    assert classes.tolist() == density.argmax(1).tolist()


def test_nearest_is_the_label_of_the_closest_row():
    expected = [Y[np.linalg.norm(X - q, axis=1).argmin()] for q in Q]
    assert nearest(torch.from_numpy(X), torch.from_numpy(Y), torch.from_numpy(Q)).tolist() == expected
