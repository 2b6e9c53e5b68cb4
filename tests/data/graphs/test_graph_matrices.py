"""Sparse matrices mean what scipy says: whatever their form, order, repeats, zeros and weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bpfree.data.graphs.matrices import dense, edges_of, read_matrix, summed
from bpfree.errors import InputError

FORMS = ("csr", "csc", "bsr", "coo", "dia")


@st.composite
def entries(draw):
    """Shape, rows, columns and values of a matrix, with repeats, zeros, and sums that may be zero."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    count = draw(st.integers(0, 20))
    rows = draw(st.lists(st.integers(0, shape[0] - 1), min_size=count, max_size=count))
    columns = draw(st.lists(st.integers(0, shape[1] - 1), min_size=count, max_size=count))
    values = draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int64, np.int8, bool]))
    return shape, np.array(rows, int), np.array(columns, int), np.array(values).astype(dtype)


def parts_of(matrix, index=np.int64) -> dict[str, np.ndarray]:
    """A matrix as ``scipy.sparse.save_npz`` writes it."""
    keys = {"coo": ("row", "col"), "dia": ("offsets",)}.get(matrix.format, ("indices", "indptr"))
    parts = {key: np.asarray(getattr(matrix, key)).astype(index) for key in keys}
    return {**parts, "data": matrix.data, "shape": np.array(matrix.shape), "format": np.array(matrix.format.encode())}


def unsummed(shape, rows, columns, values, form: str):
    """The entries in a form, repeats kept where the form can hold them."""
    if form in ("csr", "csc"):
        major, minor = (rows, columns) if form == "csr" else (columns, rows)
        order = np.argsort(major, kind="stable")
        count = np.bincount(major, minlength=shape[0 if form == "csr" else 1])
        start = np.concatenate([[0], np.cumsum(count)])
        return getattr(sparse, f"{form}_array")((values[order], minor[order], start), shape=shape)
    coo = sparse.coo_array((values, (rows, columns)), shape=shape)
    return coo if form == "coo" else getattr(sparse, f"{form}_array")(coo)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(entries(), st.sampled_from([np.int32, np.int64, np.uint32]))
def test_every_form_reads_as_scipy_has_it_dense(form, held, index):
    if form == "dia" and held[3].dtype == bool:  # scipy has no such conversion
        held = (*held[:3], held[3].astype(np.int64))
    matrix = unsummed(*held, form)
    read = read_matrix(parts_of(matrix, np.int64 if form == "dia" else index), "m", held[0][0])
    expected = matrix.toarray()
    np.testing.assert_array_equal(dense(read, "m").numpy(), expected.astype(np.float32))
    edges, _ = edges_of(read, "m")
    assert set(map(tuple, edges.T.tolist())) == set(zip(*(a.tolist() for a in expected.nonzero()), strict=True))
    assert edges.shape[1] == np.count_nonzero(expected)


def test_word_counts_are_added_up():
    """``csr_matrix((ones(n), words, starts))``: how scipy's own documentation builds a table of terms."""
    words = np.array([0, 2, 0, 0, 1, 1])
    parts = {"indices": words, "indptr": np.array([0, 4, 6]), "shape": np.array([2, 3])}
    for data in (None, np.ones(6, np.uint8), np.ones(6)):
        read = read_matrix(parts if data is None else {**parts, "data": data}, "m")
        assert dense(read, "m").tolist() == [[3, 0, 1], [0, 2, 0]]


def test_counts_in_bytes_do_not_overflow():
    parts = {"row": np.zeros(300, int), "col": np.zeros(300, int), "data": np.ones(300, np.uint8)}
    assert dense(read_matrix({**parts, "shape": np.array([1, 1])}, "m"), "m").tolist() == [[300]]


def test_pointers_that_end_before_the_entries_leave_the_rest_out():
    """As scipy does: the third entry belongs to no row."""
    parts = {"indices": np.array([0, 1, 0]), "indptr": np.array([0, 2, 2]), "shape": np.array([2, 2])}
    assert dense(read_matrix(parts, "m"), "m").tolist() == [[1, 1], [0, 0]]


def test_coordinates_of_a_coo_array_are_read():
    parts = {"coords": np.array([[0, 1], [1, 1]]), "data": np.array([2.0, 3.0]), "shape": np.array([2, 2])}
    assert dense(read_matrix(parts, "m"), "m").tolist() == [[0, 2], [0, 3]]


def test_what_is_no_edge_is_told():
    row, column, data = [0, 0, 0, 1, 2, 2], [1, 1, 2, 0, 0, 0], [2.0, 0.5, 0.0, 1.0, 1.0, -1.0]
    parts = {"row": np.array(row), "col": np.array(column), "data": np.array(data), "shape": np.array([3, 3])}
    edges, notes = edges_of(read_matrix(parts, "m"), "m")
    assert edges.T.tolist() == [[0, 1], [1, 0]]
    assert notes == (
        "m: 2 repeated entries were added to those of the same two nodes",
        "m: 2 stored zeros are no edges",
        "m: weights from -1 to 2 are not used, an edge is there or not",
    )


CSR = {"indices": np.array([0, 1]), "indptr": np.array([0, 1, 2]), "shape": np.array([2, 2])}
COO = {"row": np.array([0, 1]), "col": np.array([0, 1]), "shape": np.array([2, 2])}
BAD = {
    "pointers that do not begin at 0": ({**CSR, "indptr": np.array([1, 1, 2])}, "should start with 0"),
    "pointers that go back": ({**CSR, "indptr": np.array([0, 3, 2])}, "non-decreasing"),
    "pointers beyond the entries": ({**CSR, "indptr": np.array([0, 1, 3])}, "not a CSR matrix.*index pointer"),
    "a column that is not there": ({**CSR, "indices": np.array([0, 2])}, "indices must be < 2"),
    "a column beyond 32 bits": ({**CSR, "indices": np.array([0, 2**32 + 1])}, "indices must be < 2"),
    "a column beyond 63 bits": ({**CSR, "indices": np.array([0, 2**64 - 1], np.uint64)}, "not a CSR matrix"),
    "a column below 0": ({**CSR, "indices": np.array([0, -1])}, "indices must be >= 0"),
    "a row that is not there": ({**COO, "row": np.array([0, 2])}, "not a COO matrix"),
    "lists of other lengths": ({**COO, "row": np.array([0])}, "not a COO matrix"),
    "fewer values than entries": ({**CSR, "data": np.ones(1)}, "not a CSR matrix"),
    "places that are no integers": ({**CSR, "indices": np.array([0.0, 1.0])}, "as lists of integers"),
    "values that are no numbers": ({**CSR, "data": np.array(["a", "b"])}, "holds values of type <U1"),
    "complex values": ({**CSR, "data": np.ones(2, complex)}, "holds values of type complex128"),
    "one axis": ({**CSR, "shape": np.array([2])}, "its shape is"),
    "other rows": ({**CSR, "shape": np.array([3, 2]), "indptr": np.array([0, 1, 2, 2])}, "2 rows, one a node"),
    "no shape": ({key: CSR[key] for key in ("indices", "indptr")}, "lacks shape"),
    "another format": ({**CSR, "format": np.array("lil")}, "has the format 'lil': expected one of csr"),
    "coordinates of three axes": ({"coords": np.zeros((3, 2), int), "shape": np.array([2, 2])}, "lacks row and col"),
}


@pytest.mark.parametrize("case", BAD)
def test_parts_that_are_no_matrix_are_refused_in_one_line(case: str):
    parts, says = BAD[case]
    with pytest.raises(InputError, match=f"^m .*{says}") as caught:
        read_matrix(parts, "m", 2)
    assert "\n" not in str(caught.value)


def test_a_sum_leaves_the_matrix_as_it_was():
    matrix = sparse.coo_array((np.ones(2), ([0, 0], [0, 0])), shape=(1, 1))
    assert (summed(matrix).nnz, matrix.nnz) == (1, 2)


def test_weights_must_be_finite():
    with pytest.raises(InputError, match="m holds NaN or infinity: expected finite weights"):
        edges_of(read_matrix({**CSR, "data": np.array([1, np.inf])}, "m"), "m")
