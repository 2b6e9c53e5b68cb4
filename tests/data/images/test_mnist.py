"""The embedded MNIST."""

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bpfree.data import SOURCES, as_data, describe, load
from bpfree.data.images import mnist as module
from bpfree.errors import InputError

SHARED = Path(__file__).parents[4] / "shared" / "data" / "mnist.npz"


@pytest.fixture(scope="module")
def data():
    return load("mnist")


def idx(array):
    """The IDX file that holds ``array``: magic, sizes, bytes."""
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    ("name", "md5"),
    [("x_train", "6bbc9ace"), ("y_train", "a25bea73"), ("x_test", "2646ac64"), ("y_test", "27ae3e4e")],
)
def test_payload_is_the_canonical_one(name, md5):
    """MD5 of the decompressed IDX files."""
    with np.load(module.FILE) as file:
        assert hashlib.md5(idx(file[name])).hexdigest().startswith(md5)


def test_the_file_is_the_shared_one():
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not here: the project's shared data are only in its own environment")
    assert module.FILE.read_bytes() == SHARED.read_bytes()


def test_the_notice_names_authors_and_licence():
    notice = module.FILE.with_name("MNIST_NOTICE.txt").read_text()
    assert all(words in notice for words in ("Yann LeCun", "Corinna Cortes", "CC BY-SA 3.0"))


def test_sizes_are_those_of_the_literature(data):
    assert [len(data.train), len(data.val), len(data.test)] == [50_000, 10_000, 10_000]


def test_spec_says_what_it_is(data):
    spec = data.spec
    assert (spec.shape, spec.classes, spec.task, spec.metric) == ((1, 28, 28), 10, "classification", "accuracy")


def test_training_and_validation_are_the_60000_training_images(data):
    with np.load(module.FILE) as file:
        x = file["x_train"].reshape(60_000, -1)
    parts = [part.rows.gather(torch.arange(len(part))).flatten(1).numpy() for part in (data.train, data.val)]
    rows = sorted(map(bytes, np.concatenate(parts)))
    assert rows == sorted(map(bytes, x))


def test_another_seed_changes_the_split_but_not_the_test_part(data):
    other = load("mnist", seed=1)
    assert not torch.equal(other.val.y, data.val.y)
    assert torch.equal(other.test.y, data.test.y)


def test_split_seed_overrides_the_seed_of_the_run(data):
    other = load("mnist", {"split_seed": 0}, seed=5)
    assert torch.equal(other.train.rows.index, data.train.rows.index)


def test_standardised_training_part_has_mean_0_and_deviation_1():
    x = load("mnist", {"normalize": "standard"}).train.to("cpu", 1000).x
    assert abs(x.double().mean().item()) < 1e-6
    assert abs(x.double().std(correction=0).item() - 1) < 1e-6


def test_subset_shrinks_the_training_part_only():
    small = load("mnist", {"subset": "1000"})
    assert [len(small.train), len(small.val), len(small.test)] == [1000, 10_000, 10_000]


def test_another_file_in_its_place_is_refused(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20) % 10
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setattr(module, "FILE", tmp_path / "mnist.npz")
    with pytest.raises(InputError, match="not the canonical MNIST"):
        load("mnist")


def test_the_same_images_as_arrays_have_the_same_hash(data):
    with np.load(module.FILE) as file:
        x, y, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    assert as_data((x[:, None], y, x_test[:, None], y_test)).spec.sha256 == data.spec.sha256


@pytest.fixture(scope="module")
def described():
    return describe("mnist")


def test_describe_counts_every_image(described):
    sizes = {"train": 50_000, "val": 10_000, "test": 10_000}
    assert described["rows"] == sizes == {part: sum(counts) for part, counts in described["per_class"].items()}


def test_describe_counts_the_sevens_as_published(described):
    """6265 sevens to train and validate on, 1028 to test."""
    train, val, test = (described["per_class"][part][7] for part in ("train", "val", "test"))
    assert (train + val, test) == (6265, 1028)


def test_describe_names_hash_and_licence(data, described):
    assert described["sha256"] == data.spec.sha256
    assert "CC BY-SA 3.0" in described["source"]


def test_describe_gives_the_known_pixel_statistics(described):
    """Mean 0.1307 and deviation 0.3081 of the training images, as used everywhere; within the 1/6 left out."""
    assert described["mean"] == pytest.approx([0.1307], abs=5e-4)
    assert described["std"] == pytest.approx([0.3081], abs=5e-4)


def test_the_table_of_sources_does_not_import_torch():
    code = "import sys, bpfree.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "unknown data 'mnits': did you mean mnist or "),
        ("zebra", f"choose from {', '.join(sorted(SOURCES))}"),
        ("npz", "write npz:FILE"),
        ("folder:", "write folder:DIR"),
        ("mnist:here", "write mnist, not mnist:here"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(name, message):
    with pytest.raises(InputError) as error:
        load(name)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_fraction": 0}, "val_fraction = 0 is not valid: expected > 0, < 1"),
        ({"val_fraction": 2}, "val_fraction = 2 is not valid"),
        ({"normalize": "unti"}, "expected auto | unit | standard"),
        ({"shfit": 2}, "did you mean shift"),
        ({"shift": 28}, "shift = 28 is not valid: expected less than 28"),
        ({"subset": 50_001}, "subset = 50001 is not valid"),
        ({"val_fraction": 1e-6}, "leaves 0 validation rows"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(InputError) as error:
        load("mnist", settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
