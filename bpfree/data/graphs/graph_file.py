"""Data ``graph:FILE``: the user's graph in a compressed numpy file.

Arrays: the edges as a sparse matrix in CSR form, ``adj_matrix.indices``, ``adj_matrix.indptr``, ``adj_matrix.shape``
(row: source, column: target; a weight ``adj_matrix.data`` is not read); the features in the same form, with
``attr_matrix.data``, or dense as ``attr_matrix (N, F)``; ``labels (N,)``; for ``split = public`` also ``train_mask``,
``val_mask``, ``test_mask (N,)``; optionally ``class_names``.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bpfree.data import locations, verification
from bpfree.data.graphs.reader import GraphReader, GraphSettings, RawGraph
from bpfree.data.npz import read_arrays
from bpfree.errors import InputError

MASKS = ("train_mask", "val_mask", "test_mask")


class GraphFile(GraphReader):
    """Reader of nodes, edges, features and classes from a file."""

    wants = "FILE"

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        path = locations.named_path(settings, self.where)
        return read_graph(self.name, f"file {path}", path)


def read_graph(name: str, source: str, path: Path) -> RawGraph:
    """Read a graph.

    Args:
        name: of the data.
        source: origin of the data, in words.
        path: of the file.

    Returns:
        The graph.

    Raises:
        InputError: no such file, not an npz file, damaged, or an array that is missing or does not fit the others.
    """

    def select(names: Collection[str]) -> list[str]:
        form = ("indptr", "indices", "shape")
        needed = [f"adj_matrix.{part}" for part in form]
        needed += ["attr_matrix"] if "attr_matrix" in names else [f"attr_matrix.{part}" for part in (*form, "data")]
        needed += ["labels", *(MASKS if {*names} & {*MASKS} else ())]
        if missing := [key for key in needed if key not in names]:
            raise InputError(f"{path} lacks {' and '.join(missing)}: expected {', '.join(needed)}")
        return needed + (["class_names"] if "class_names" in names else [])

    arrays = read_arrays(path, select)
    y = verification.labels(arrays["labels"], arrays["labels"].size, f"labels of {path}")
    row, column = _entries(path, arrays, "adj_matrix", len(y))
    x = arrays["attr_matrix"] if "attr_matrix" in arrays else _features(path, arrays, len(y))
    x = verification.examples(x, f"attr_matrix of {path}")
    masks = tuple(torch.as_tensor(arrays[key]) for key in MASKS) if MASKS[0] in arrays else None
    names = tuple(map(str, arrays["class_names"].ravel())) if "class_names" in arrays else None
    return RawGraph(name, source, x, torch.stack([row, column]), y, masks, names)  # type: ignore[arg-type]


def _entries(path: Path, arrays: dict[str, np.ndarray], matrix: str, rows: int) -> tuple[Tensor, Tensor]:
    """Row and column of every entry of a CSR matrix."""
    start, column, shape = parts = [arrays[f"{matrix}.{part}"] for part in ("indptr", "indices", "shape")]
    if any(part.ndim != 1 or part.dtype.kind not in "iu" for part in parts):
        raise InputError(
            f"{path}: {matrix} is not a CSR matrix: expected indptr, indices and shape as lists of integers"
        )
    steps: np.ndarray = np.diff(start.astype(np.int64))
    if len(shape) != 2 or shape[0] != rows or len(steps) != rows or (steps < 0).any() or steps.sum() != len(column):
        raise InputError(f"{path}: {matrix} is not a CSR matrix of {rows} rows, one for each label")
    if len(column) and not (column.min() >= 0 and column.max() < shape[1]):
        wrong = column.min() if column.min() < 0 else column.max()
        raise InputError(f"{path}: {matrix} names column {wrong} but has {shape[1]}")
    return torch.from_numpy(np.repeat(np.arange(rows), steps)), torch.as_tensor(column).long()


def _features(path: Path, arrays: dict[str, np.ndarray], rows: int) -> Tensor:
    """Dense features ``(N, F)`` from a CSR matrix."""
    row, column = _entries(path, arrays, "attr_matrix", rows)
    values, columns = arrays["attr_matrix.data"], int(arrays["attr_matrix.shape"][1])
    if values.shape != column.shape or values.dtype.kind not in "biuf":
        kind = f"an array of {values.dtype} {values.shape}"
        raise InputError(f"{path}: attr_matrix.data is {kind} for {len(column)} entries: expected one number each")
    try:
        x = torch.zeros(rows, columns)
    except RuntimeError:
        raise InputError(f"{path}: attr_matrix of {rows} x {columns} numbers does not fit into memory") from None
    x[row, column] = torch.as_tensor(values).float()
    return x
