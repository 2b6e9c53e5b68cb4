"""The arithmetic of the oracles: plain numpy in float64, written from the papers and sharing nothing with bpfree."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def softmax(g: Array) -> Array:
    e = np.exp(g - g.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def one_hot(y: NDArray[np.int64], classes: int) -> Array:
    return np.eye(classes)[y]


def cross_entropy(g: Array, y: NDArray[np.int64]) -> float:
    return float(-np.log(softmax(g)[np.arange(len(y)), y]).mean())


def rms(h: Array, eps: float = 1e-8) -> Array:
    """Each row divided by its root mean square, as Forward-Forward's layers see it."""
    return h / (np.sqrt((h**2).mean(1, keepdims=True)) + eps)
