"""``npz:FILE``: layouts, and files with something wrong in them."""

import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpfree.data import load
from bpfree.errors import InputError
from bpfree.nets.measured import read_pairs
from bpfree.runs.example_files import read_examples

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 5), dtype=np.uint8)
Y = np.arange(40) % 4


def save(path, **changes):
    arrays = {"x_train": X, "y_train": Y, "x_test": X[:8], "y_test": Y[:8]} | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return f"npz:{path}"


def all_of(source):
    return next(source.batches(len(source))).x


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((7,), (7,)),
        ((6, 5), (1, 6, 5)),
        ((6, 5, 3), (3, 6, 5)),
        ((6, 5, 1), (1, 6, 5)),
        ((3, 6, 5), (3, 6, 5)),
        ((3, 6, 3), (3, 3, 6)),
    ],
)
def test_images_become_channels_first(tmp_path, shape, expected):
    x = RNG.random((40, *shape), dtype=np.float32)
    assert load(save(tmp_path / "a.npz", x_train=x, x_test=x[:8])).spec.shape == expected


def test_pixels_keep_their_places_when_channels_move(tmp_path):
    x = RNG.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    data = load(save(tmp_path / "a.npz", x_train=x, x_test=x[:8]))
    np.testing.assert_array_equal(all_of(data.test).numpy(), x[:8].transpose(0, 3, 1, 2) / np.float32(255))


def test_test_arrays_are_optional(tmp_path):
    assert load(save(tmp_path / "a.npz", x_test=None, y_test=None)).test is None


def test_labels_may_be_a_column_as_in_keras_cifar(tmp_path):
    data = load(save(tmp_path / "a.npz", y_train=Y[:, None], y_test=Y[:8, None]))
    assert data.test.y.tolist() == Y[:8].tolist()


def test_a_relative_file_is_looked_up_in_data_dir(tmp_path):
    save(tmp_path / "a.npz")
    assert load("npz:a.npz", {"data_dir": str(tmp_path)}).spec.classes == 4


def test_big_endian_arrays_are_read(tmp_path):
    x = RNG.random((40, 7))
    name = save(tmp_path / "a.npz", x_train=x.astype(">f8"), x_test=x[:8].astype(">f8"))
    data = load(name, {"normalize": "none"})
    assert torch.equal(all_of(data.test), torch.from_numpy(x[:8]).float())


def nan(x):
    x = x.astype(np.float32)
    x[3, 2, 1] = np.nan
    return x


BAD = {
    "no y_train": ({"y_train": None}, "lacks y_train"),
    "no y_test": ({"y_test": None}, "lacks y_test"),
    "nothing expected": ({"x_train": None, "y_train": None, "x_test": None, "y_test": None, "z": X}, "it holds z"),
    "row mismatch": ({"y_train": Y[:-1]}, "has 39 rows but there are 40 examples"),
    "labels for two": ({"y_train": np.eye(4)[Y].astype(int) + 1}, "expected one label a row, or one-hot rows"),
    "labels from 1": ({"y_train": Y + 1}, "holds label 0, which no training row has: expected 1, 2, 3, 4"),
    "unknown test label": ({"y_test": Y[:8] + 4}, "which no training row has: expected 0, 1, 2, 3"),
    "one class": ({"y_train": Y * 0}, "one class only"),
    "128-bit floats": ({"x_train": X.astype(np.longdouble)}, "expected numbers of at most 64 bits"),
    "object array": ({"x_train": np.array([{}] * 40)}, "pickled Python objects"),
    "NaN pixel": ({"x_train": nan(X), "x_test": X[:8].astype(np.float32)}, "row 3 holds NaN or infinity"),
    "infinite pixel": ({"x_train": np.full((40, 3), np.inf)}, "NaN or infinity"),
    "integer pixels": ({"x_train": X.astype(int)}, "expected uint8 pixels (0..255) or floats"),
    "one axis": ({"x_train": X[:, 0, 0]}, "has shape (40,)"),
    "five axes": ({"x_train": X[..., None, None]}, "expected (N, features)"),
    "odd channels": ({"x_train": X[:, :2, :, None].repeat(7, 3)}, "with 1, 3 or 4 channels"),
    "no rows": ({"x_train": X[:0], "y_train": Y[:0]}, "at least one row and value"),
    "other test shape": ({"x_test": X[:8, :, :4]}, "expected the same"),
    "other test type": ({"x_test": X[:8].astype(np.float32)}, "expected the same"),
}


@pytest.mark.parametrize(
    "change",
    [lambda y: y - 1, lambda y: y + 1, lambda y: y * 5, lambda y: np.array(["ant", "bee", "cat", "dog"])[y]],
    ids=["from -1", "from 1", "gaps", "text"],
)
def test_labels_keep_their_text(tmp_path, change):
    data = load(save(tmp_path / "a.npz", y_train=change(Y), y_test=change(Y[:8])))
    assert data.spec.class_names == tuple(map(str, sorted(set(change(Y).tolist()))))
    assert data.test.y.tolist() == Y[:8].tolist()


@pytest.mark.parametrize("case", BAD)
def test_wrong_content_is_one_clear_line(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(InputError) as error:
        load(save(tmp_path / "a.npz", **changes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*nowhere\.npz"):
        load(f"npz:{tmp_path / 'nowhere.npz'}")


def test_a_folder_in_its_place_is_named(tmp_path):
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*a\.npz: Is a directory"):
        load(f"npz:{tmp_path / 'a.npz'}")


HEADERS = pytest.mark.parametrize("shape", ["(1267650600228229401496703205376,)", "(True, 4)", "(((((("])


def array_of_shape(shape: str) -> bytes:
    """A .npy array whose header says so; numpy reads it as Python."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00v\x00" + header


@HEADERS
def test_a_header_that_numpy_cannot_take_is_damage(tmp_path, shape):
    save(tmp_path / "whole.npz")
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name in whole.namelist():
            file.writestr(name, whole.read(name) if name != "x_train.npy" else array_of_shape(shape))
    with pytest.raises(InputError, match=r"is damaged, cut short or not an \.npz file"):
        load(f"npz:{tmp_path / 'a.npz'}")


@HEADERS
def test_so_it_is_in_examples_to_predict_and_in_measured_pairs(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(array_of_shape(shape))
    with zipfile.ZipFile(tmp_path / "pairs.npz", "w") as file:
        for name in ("x.npy", "y.npy"):
            file.writestr(name, array_of_shape(shape))
    with pytest.raises(InputError, match=r"cannot read .*a\.npy: expected a \.npy array"):
        read_examples(tmp_path / "a.npy", (1,), {})
    with pytest.raises(InputError, match="does not hold arrays x and y of numbers"):
        read_pairs(str(tmp_path / "pairs.npz"))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged, cut short or not an \.npz file"):
        load(f"npz:{tmp_path / 'a.npz'}")


@given(st.floats(0, 0.999))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_file_cut_anywhere_is_refused(tmp_path, part):
    save(tmp_path / "a.npz")
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match="damaged, cut short"):
        load(f"npz:{tmp_path / 'cut.npz'}")


def test_directory_that_hides_the_test_part_is_damaged(tmp_path):
    """A longer extra field of the second entry swallows the entries behind it."""
    save(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    rest = len(content) - 22 - (second + 46 + int.from_bytes(content[second + 28 : second + 30], "little"))
    content[second + 30 : second + 32] = rest.to_bytes(2, "little")
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load(f"npz:{tmp_path / 'b.npz'}")


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_a_damaged_byte_is_an_input_error_or_harmless(tmp_path, data):
    """One flipped byte gives the same data, or InputError. The checksums of the file leave no third way."""
    name = save(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    expected = load(name).spec.sha256
    (tmp_path / "b.npz").write_bytes(content)
    try:
        assert load(f"npz:{tmp_path / 'b.npz'}").spec.sha256 == expected
    except InputError:
        pass
