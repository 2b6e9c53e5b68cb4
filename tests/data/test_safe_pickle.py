"""Pickles are read without running anything, and what is in them comes out as it went in."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from pickled import old_pickle

from bpfree.data import safe_pickle

RNG = np.random.default_rng(0)


class Evil:
    """Pickled, it asks for a file to be made when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_code_in_a_pickle_is_run(protocol, tmp_path):
    content = pickle.dumps({"data": Evil(tmp_path / "proof")}, protocol)
    pickle.loads(content)
    assert (tmp_path / "proof").exists()  # so the pickle would have done it
    (tmp_path / "proof").unlink()
    with pytest.raises(ValueError, match="it is not run"):
        safe_pickle.load(content)
    assert not (tmp_path / "proof").exists()


def test_no_pickle_can_overflow_the_stack():
    """A tuple in a tuple in a tuple … as the key of a dictionary: Python hashes it by recursion, and crashes."""
    with pytest.raises(ValueError, match="more than 1,000 tuples"):
        safe_pickle.load(b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.")


def test_an_array_that_is_never_filled_is_refused():
    content = b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs."
    with pytest.raises(ValueError, match="not a pickle of plain arrays"):
        safe_pickle.load(content)


def test_arrays_of_bytes_come_out_as_they_went_in():
    content = {"data": RNG.integers(0, 256, (7, 5), np.uint8), "labels": [3, 1, 2]}
    loaded = safe_pickle.load(old_pickle(content))
    assert np.array_equal(loaded["data"], content["data"])
    assert loaded["labels"] == [3, 1, 2]


def test_the_pickles_of_this_test_are_real_ones():
    """Python itself reads them, with numpy, as what they are meant to be."""
    content = {"data": RNG.integers(0, 256, (7, 5), np.uint8), "labels": [3, 1, 2]}
    loaded = pickle.loads(old_pickle(content), encoding="latin-1")
    assert np.array_equal(loaded["data"], content["data"])


def test_other_arrays_are_refused():
    with pytest.raises(ValueError, match="expected bytes"):
        safe_pickle.load(old_pickle({"data": np.zeros(3, np.uint8)}).replace(b"u1", b"f4"))
