"""``graph:FILE``: a graph of one's own in a compressed numpy file.

Arrays: the edges as a sparse matrix in CSR form, ``adj_matrix.indices``, ``adj_matrix.indptr``, ``adj_matrix.shape``
(row: source, column: target; a weight ``adj_matrix.data`` is not read); the features in the same form, with
``attr_matrix.data``, or dense as ``attr_matrix (N, F)``; ``labels (N,)``; for ``split = public`` also ``train_mask``,
``val_mask``, ``test_mask (N,)``; optionally ``class_names``.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bpfree.data import places
from bpfree.data.damaged import DAMAGED
from bpfree.data.graph import GraphReader, GraphSettings, RawGraph
from bpfree.errors import InputError

MASKS = ("train_mask", "val_mask", "test_mask")


class GraphFile(GraphReader):
    """Nodes, edges, features and classes from a file."""

    wants = "FILE"

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        path = places.given(settings, self.where)
        return read_graph(self.name, f"file {path}", path)


def read_graph(name: str, source: str, path: Path) -> RawGraph:
    """The graph in ``path``.

    Raises:
        InputError: no such file, not an npz file, damaged, or an array missing or not fitting the others.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    damaged = InputError(f"{path} is damaged, cut short or not an .npz file: write it with numpy.savez_compressed")
    if not zipfile.is_zipfile(path):
        raise damaged
    try:
        with np.load(path, allow_pickle=False) as file:
            held = set(file.files)
            form = ("indptr", "indices", "shape")
            dense = "attr_matrix" in held
            wanted = [f"adj_matrix.{part}" for part in form]
            wanted += ["attr_matrix"] if dense else [f"attr_matrix.{part}" for part in (*form, "data")]
            wanted += ["labels", *(MASKS if held & set(MASKS) else ())]
            missing = [key for key in wanted if key not in held]
            if missing:
                raise InputError(f"{path} lacks {' and '.join(missing)}: expected {', '.join(wanted)}")
            arrays = {key: file[key] for key in wanted}
            names = file["class_names"].astype(str).tolist() if "class_names" in held else None
    except DAMAGED as error:
        if "allow_pickle" in str(error):
            raise InputError(f"{path} holds pickled Python objects: expected plain numeric arrays") from None
        raise damaged from None
    y = torch.as_tensor(arrays["labels"])
    row, column = _entries(path, arrays, "adj_matrix", len(y))
    x = torch.as_tensor(arrays["attr_matrix"]) if dense else _features(path, arrays, len(y))
    masks = tuple(torch.as_tensor(arrays[key]) for key in MASKS) if MASKS[0] in arrays else None
    return RawGraph(name, source, x, torch.stack([row, column]), y, masks, tuple(names) if names else None)  # type: ignore[arg-type]


def _entries(path: Path, arrays: dict[str, np.ndarray], matrix: str, rows: int) -> tuple[Tensor, Tensor]:
    """Row and column of every entry."""
    start, column, shape = (arrays[f"{matrix}.{part}"] for part in ("indptr", "indices", "shape"))
    steps = np.diff(start)
    if (
        len(shape) != 2
        or int(shape[0]) != rows
        or len(start) != rows + 1
        or (steps < 0).any()
        or start[-1] != len(column)
    ):
        raise InputError(f"{path}: {matrix} is not a CSR matrix of {rows} rows, one for each label")
    if len(column) and not (column.min() >= 0 and column.max() < shape[1]):
        raise InputError(f"{path}: {matrix} names column {column.max()} but has {shape[1]}")
    return torch.from_numpy(np.repeat(np.arange(rows), steps)), torch.as_tensor(column).long()


def _features(path: Path, arrays: dict[str, np.ndarray], rows: int) -> Tensor:
    row, column = _entries(path, arrays, "attr_matrix", rows)
    if len(arrays["attr_matrix.data"]) != len(column):
        raise InputError(
            f"{path}: attr_matrix.data has {len(arrays['attr_matrix.data'])} values for {len(column)} entries"
        )
    x = torch.zeros(rows, int(arrays["attr_matrix.shape"][1]))
    x[row, column] = torch.as_tensor(arrays["attr_matrix.data"]).float()
    return x
