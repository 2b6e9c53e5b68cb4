"""Labels, features and masks of nodes, from any kind of array."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from bpfree.data import verification
from bpfree.data.graphs.matrices import dense
from bpfree.data.labels import read_labels
from bpfree.errors import InputError

MASKS = ("train_mask", "val_mask", "test_mask")
UNLABELLED = -1


NodeLabels = tuple[Tensor, tuple[str, ...] | None, tuple[str, ...]]  # classes (N,), names of the classes, notes


def no_labels(nodes: int) -> NodeLabels:
    """Labels of a graph that has none."""
    return torch.full((nodes,), UNLABELLED), None, ()


def node_labels(values: Any, nodes: int, name: str, names: Sequence[str] | None = None) -> NodeLabels:
    """Read the labels of nodes.

    Args:
        values: as for `read_labels`; -1, NaN or None: no label.
        nodes: N.
        name: of the labels, for messages.
        names: of the classes, where labels are their numbers; or None.

    Returns:
        Classes ``(N,)`` int64, -1 for a node without a label; names of the classes, or None; and notes.

    Raises:
        InputError: another number of labels, none at all, or labels that are no classes.
    """
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 0 or len(array) != nodes:
        raise InputError(f"{name} has shape {array.shape} but there are {nodes} nodes: expected one label a node")
    absent = _absent(array)
    if absent.all():
        raise InputError(f"{name} holds no label: each of {nodes} nodes has -1, which stands for none")
    if array.dtype.kind in "if" and (array[~absent] < 0).any():
        wrong = array[~absent].min()
        raise InputError(f"{name} holds label {wrong:g}: expected classes 0..C-1, or -1 for a node without a label")
    count = int(absent.sum())
    labels = read_labels(array[~absent], f"{name} (its {nodes - count} labelled nodes)" if count else name)
    y = torch.full((nodes,), UNLABELLED)
    y[torch.from_numpy(~absent)] = labels.y
    notes = labels.notes
    if count:
        notes = (*notes, f"{name}: {count} of {nodes} nodes have no label (-1) and are in no split")
    return y, _named(labels.classes, names, name) if names is not None else labels.class_names, notes


def _absent(array: np.ndarray) -> np.ndarray:
    """True ``(N,)`` for nodes without a label."""
    if array.ndim == 1 and array.dtype.kind in "if":
        return (array == UNLABELLED) | np.isnan(array)
    if array.ndim == 1 and array.dtype == object:
        return np.array([value is None or value != value or value == UNLABELLED for value in array], bool)
    return np.zeros(len(array), bool)


def _named(classes: Sequence[str], names: Sequence[str], name: str) -> tuple[str, ...]:
    """Names of the classes: labels are numbers of names, or names themselves."""
    if set(classes) <= set(names):
        return tuple(classes)
    numbers = [int(label) if label.isdecimal() else len(names) for label in classes]
    if max(numbers) >= len(names):
        raise InputError(
            f"{name} holds label {classes[-1]} but there are {len(names)} class_names: expected one a class"
        )
    return tuple(names[number] for number in numbers)


def node_features(x: Any, name: str) -> Tensor:
    """Read the features of nodes: numbers of any kind, as they are.

    Args:
        x: ``(N, F)`` booleans, integers or floats: an array, a tensor, or a sparse matrix of scipy or torch.
        name: for messages.

    Returns:
        ``(N, F)`` of single precision.

    Raises:
        InputError: another shape or type, NaN or infinity, or too large for the memory.
    """
    if sparse.issparse(x):
        x = dense(x, name)
    if isinstance(x, Tensor):
        x = x.to_dense() if x.layout != torch.strided else x
        x = x if x.is_floating_point() or x.is_complex() else x.float()
    elif (array := np.asarray(x)).dtype.kind in "biu":
        x = array.astype(np.float32)
    x = verification.examples(x, name).float()
    if x.dim() != 2:
        raise InputError(f"{name} has shape {tuple(x.shape)}: expected (nodes, features)")
    return x


def node_masks(get: Callable[[str], Any], name: str) -> tuple[Tensor, Tensor, Tensor] | None:
    """Read the masks of training, validation and test nodes.

    Args:
        get: from the name of a mask to its values ``(N,)``, booleans or 0 and 1; None where there is no such mask.
        name: of the graph, for messages.

    Returns:
        The masks, or None where there is none of them.

    Raises:
        InputError: one is missing or holds other values.
    """
    masks = {key: get(key) for key in MASKS}
    if all(mask is None for mask in masks.values()):
        return None
    if missing := [key for key, mask in masks.items() if mask is None]:
        raise InputError(f"{name} lacks {' and '.join(missing)}: expected {', '.join(MASKS)}, or none of them")
    return tuple(_mask(mask, f"{key} of {name}") for key, mask in masks.items())  # type: ignore[return-value]


def _mask(values: Any, name: str) -> Tensor:
    """One truth value a node."""
    mask = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if mask.ndim == 2:
        raise InputError(f"{name} holds {mask.shape[1]} splits, shape {mask.shape}: give one of its columns")
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise InputError(f"{name} must hold one truth value a node: it holds {mask.dtype} other than 0 and 1")
    return torch.from_numpy(mask.astype(bool))
