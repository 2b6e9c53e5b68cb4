"""Sparse matrices in the parts that scipy's ``save_npz`` names, read through scipy.

====== ==========================================
form   parts, beside ``shape`` and ``data``
====== ==========================================
csr    ``indices``, ``indptr``
csc    the same, with ``format``
bsr    the same, with ``format``
coo    ``row``, ``col``; or ``coords``
dia    ``offsets``
====== ==========================================

An entry that occurs several times is the sum of its values, a stored zero is zero, and where there are no ``data`` each
entry is 1. Sums are made in double precision, so that counts in bytes do not overflow.
"""

from collections.abc import Mapping

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from bpfree.errors import InputError

PLACES = {
    "csr": ("indices", "indptr"),
    "csc": ("indices", "indptr"),
    "bsr": ("indices", "indptr"),
    "coo": ("row", "col"),
    "dia": ("offsets",),
}
PARTS = ("format", "shape", "data", "indices", "indptr", "row", "col", "coords", "offsets")


def read_matrix(parts: Mapping[str, np.ndarray], name: str, rows: int | None = None) -> sparse.coo_array:
    """Read a sparse matrix.

    Args:
        parts: arrays by the names of `PARTS`.
        name: of the matrix, for messages.
        rows: number of rows that it must have; None: any.

    Returns:
        Its stored entries ``(R, C)``, float64 or bool, as they are in the file: repeated ones are not summed yet.

    Raises:
        InputError: a part that is missing or has no numbers, another number of rows, or entries outside the matrix.
    """
    form = _form(parts)
    if "coords" in parts and parts["coords"].ndim == 2 and len(parts["coords"]) == 2:
        parts = {**parts, "row": parts["coords"][0], "col": parts["coords"][1]}
    if missing := [part for part in (*PLACES.get(form, ()), "shape") if part not in parts]:
        raise InputError(f"{name} lacks {' and '.join(missing)}: expected the parts that scipy.sparse.save_npz writes")
    if form not in PLACES:
        raise InputError(f"{name} has the format {form!r}: expected one of {', '.join(PLACES)}")
    what = f"{name} is not a {form.upper()} matrix"
    for part in (*PLACES[form], "shape"):
        if parts[part].ndim != 1 or parts[part].dtype.kind not in "iu":
            raise InputError(f"{what}: expected {', '.join((*PLACES[form], 'shape'))} as lists of integers")
    shape = tuple(parts["shape"].tolist())
    if len(shape) != 2 or (rows is not None and shape[0] != rows):
        raise InputError(
            f"{what} of {'two axes' if rows is None else f'{rows} rows, one a node'}: its shape is {shape}"
        )
    data = parts.get("data", np.ones(len(parts[PLACES[form][0]])))
    if data.dtype.kind not in "biuf":
        raise InputError(f"{name} holds values of type {data.dtype}: expected numbers")
    values = data if data.dtype == bool else data.astype(np.float64)
    place = tuple(parts[part] for part in PLACES[form])
    try:
        if form == "coo":
            matrix = sparse.coo_array((values, place), shape=shape)
        else:
            matrix = getattr(sparse, f"{form}_array")((values, *place), shape=shape)
        if form in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
        return matrix.tocoo()
    except MemoryError:
        raise InputError(f"{name} of {' x '.join(map(str, shape))} numbers does not fit into memory") from None
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"{what} of shape {shape}: {error}") from None


def _form(parts: Mapping[str, np.ndarray]) -> str:
    """Form of a matrix, as it is stated or by its parts."""
    if "format" in parts:
        text = parts["format"].item() if parts["format"].size == 1 else ""
        return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    for form, part in (("coo", "row"), ("coo", "coords"), ("dia", "offsets")):
        if part in parts:
            return form
    return "csr"


def summed(matrix: sparse.sparray) -> sparse.coo_array:
    """The matrix with one entry for every place that has some: the sum of its values."""
    matrix = matrix.tocoo(copy=True)
    matrix.sum_duplicates()
    return matrix


def dense(matrix: sparse.sparray, name: str) -> Tensor:
    """The matrix as a tensor ``(R, C)`` of single precision.

    Args:
        matrix: sparse, in any form.
        name: of the matrix, for the message.

    Raises:
        InputError: it does not fit into memory.
    """
    try:
        x = torch.zeros(matrix.shape)
    except RuntimeError:
        size = " x ".join(map(str, matrix.shape))
        raise InputError(f"{name} of {size} numbers does not fit into memory") from None
    entries = summed(matrix)
    row, column = (torch.from_numpy(places.astype(np.int64)) for places in entries.coords)
    x[row, column] = torch.from_numpy(entries.data).float()
    return x


def edges_of(matrix: sparse.coo_array, name: str) -> tuple[Tensor, tuple[str, ...]]:
    """Edges of an adjacency matrix, from the node of the row to the node of the column.

    Args:
        matrix: ``(N, N)``, as `read_matrix` gives it.
        name: of the matrix, for messages.

    Returns:
        Edges ``(2, E)``, one for every place whose sum is not zero, and notes on what else was stored.

    Raises:
        InputError: weights that are NaN or infinite.
    """
    if not np.isfinite(matrix.data).all():
        raise InputError(f"{name} holds NaN or infinity: expected finite weights")
    notes = []
    entries = summed(matrix)
    if repeated := matrix.nnz - entries.nnz:
        notes.append(f"{name}: {repeated} repeated entries were added to those of the same two nodes")
    there = entries.data != 0
    if zeros := int((~there).sum()):
        notes.append(f"{name}: {zeros} stored zeros are no edges")
    used = matrix.data[matrix.data != 0]
    if (used != 1).any():
        notes.append(f"{name}: weights from {used.min():g} to {used.max():g} are not used, an edge is there or not")
    row, column = (torch.from_numpy(places[there].astype(np.int64)) for places in entries.coords)
    return torch.stack([row, column]), tuple(notes)


def from_dense(array: np.ndarray, name: str) -> sparse.coo_array:
    """A dense matrix as a sparse one.

    Raises:
        InputError: values that are no numbers.
    """
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds values of type {array.dtype}: expected numbers")
    return sparse.coo_array(array)
