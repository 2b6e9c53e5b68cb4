"""Published data: found in every form and place it may lie in, refused when it is something else, never replaced."""

import gzip
import hashlib
import io
import os
import pickle
import re
import shutil
import struct
import tarfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from pickled import old_pickle
from PIL import Image

from bpfree.data import describe, fetching, load, locations, reader_of
from bpfree.data.images import cifar10
from bpfree.data.images.cifar10 import Cifar10
from bpfree.data.images.cifar100 import Cifar100
from bpfree.data.images.fashion_mnist import FashionMnist
from bpfree.data.images.idx import _STEMS
from bpfree.data.images.kmnist import Kmnist
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
RNG = np.random.default_rng(0)
GRAY = [RNG.integers(0, 256, (60, 28, 28), np.uint8), np.arange(60, dtype=np.uint8) % 10]
GRAY += [RNG.integers(0, 256, (20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10]
COLOUR = [RNG.integers(0, 256, (20, 3073), np.uint8) for _ in range(6)]  # five training batches, one test batch
for batch in COLOUR:
    batch[:, 0] = np.arange(20) % 10


@pytest.fixture(autouse=True)
def nothing_around(tmp_path, monkeypatch):
    """A machine without data and without network, whose caches are in the test's folder."""
    for name, value in (("BPFREE_CACHE", "cache"), ("KERAS_HOME", "keras")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.delenv("BPFREE_DATA_DIR", raising=False)
    monkeypatch.setenv("BPFREE_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locations, "SYSTEM", tmp_path / "system")


def idx(array):
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def clothes(monkeypatch):
    """Fashion-MNIST as if it had 60 and 20 pictures."""
    monkeypatch.setattr(FashionMnist, "shapes", tuple(array.shape for array in GRAY))
    monkeypatch.setattr(FashionMnist, "payload", tuple(sha(idx(array)) for array in GRAY))


@pytest.fixture
def things(monkeypatch):
    """CIFAR-10 as if a batch had 20 pictures."""
    monkeypatch.setattr(Cifar10, "rows", (100, 20))
    monkeypatch.setattr(Cifar10, "payload", (sha(np.concatenate(COLOUR[:5]).tobytes()), sha(COLOUR[5].tobytes())))


def put_idx(folder, suffix=".gz", arrays=GRAY):
    folder.mkdir(parents=True)
    for stem, array in zip(_STEMS, arrays, strict=True):
        content = idx(array)
        (folder / (stem + suffix)).write_bytes(gzip.compress(content) if suffix else content)


def cifar_files(kind):
    """Names and contents of the six files of a version of CIFAR-10."""
    names = getattr(Cifar10, kind)[1:]
    if kind == "binary":
        return {name: part.tobytes() for name, part in zip(names, COLOUR, strict=True)}
    return {
        name: old_pickle({"data": part[:, 1:], "labels": part[:, 0].tolist(), "filenames": []})
        for name, part in zip(names, COLOUR, strict=True)
    }


def put_folder(folder, kind):
    folder.mkdir(parents=True)
    for name, content in cifar_files(kind).items():
        (folder / name).write_bytes(content)


def put_archive(file, kind):
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, content in cifar_files(kind).items():
            member = tarfile.TarInfo(f"{getattr(Cifar10, kind)[0]}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def pixels(source):
    return torch.cat([batch.x for batch in source.to("cpu", 100).batches(50)]) * 255


# Where it is looked for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    ["system/fashion-mnist", "keras/datasets/fashion-mnist", "cache/data/fashion-mnist", "data/FashionMNIST/raw"],
)
def test_fashion_mnist_is_read_where_other_libraries_keep_it(place, clothes, tmp_path):
    put_idx(tmp_path / place)
    data = load("fashion-mnist")
    assert torch.equal(pixels(data.test).round().byte()[:, 0], torch.from_numpy(GRAY[2]))
    assert data.test.y.tolist() == GRAY[3].tolist()
    assert place in data.spec.source
    assert "MIT" in data.spec.source


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_the_folder_of_the_user_comes_first(how, clothes, tmp_path, monkeypatch):
    put_idx(tmp_path / "mine" / "fashion-mnist", suffix="")
    put_idx(tmp_path / "system" / "fashion-mnist")
    settings = {"data_dir": str(tmp_path / "mine")} if how == "setting" else {}
    if how == "environment":
        monkeypatch.setenv("BPFREE_DATA_DIR", str(tmp_path / "mine"))
    assert "mine/fashion-mnist" in describe("fashion-mnist", settings)["source"]


@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_every_version_of_cifar10_holds_the_same(kind, packed, things, tmp_path):
    folder = getattr(Cifar10, kind)[0]
    if packed:
        put_archive(tmp_path / f"cifar-10-{kind}.tar.gz", kind)
    else:
        put_folder(tmp_path / folder, kind)
    data = load("cifar10")
    assert data.spec.shape == (3, 32, 32)
    assert torch.equal(pixels(data.test).round().byte(), torch.from_numpy(COLOUR[5][:, 1:].reshape(-1, 3, 32, 32)))
    assert data.test.y.tolist() == COLOUR[5][:, 0].tolist()


def test_cifar100_takes_the_fine_label(tmp_path, monkeypatch):
    """The coarse label comes first in a record."""
    x = RNG.integers(0, 256, (200, 3072), np.uint8)
    fine, coarse = np.arange(200, dtype=np.uint8) % 100, np.arange(200, dtype=np.uint8) % 20
    records = np.concatenate([coarse[:, None], fine[:, None], x], 1)
    monkeypatch.setattr(Cifar100, "rows", (200, 100))
    monkeypatch.setattr(Cifar100, "payload", (sha(records.tobytes()), sha(records[:100].tobytes())))
    (tmp_path / "cifar-100-python").mkdir()
    for name, n in (("train", 200), ("test", 100)):
        held = {"data": x[:n], "fine_labels": fine[:n].tolist(), "coarse_labels": coarse[:n].tolist()}
        (tmp_path / "cifar-100-python" / name).write_bytes(old_pickle(held))
    data = load("cifar100", {"val_fraction": 0.5})
    assert (data.spec.classes, data.spec.class_names[-1]) == (100, "worm")
    assert data.test.y.tolist() == fine[:100].tolist()


@pytest.mark.parametrize("how", ["data_dir", "BPFREE_DATA_DIR"])
def test_a_named_folder_that_is_none_is_refused(how, clothes, tmp_path, monkeypatch):
    put_idx(tmp_path / "system" / "fashion-mnist")
    if how == "BPFREE_DATA_DIR":
        monkeypatch.setenv(how, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere, which is not a folder"):
        load("fashion-mnist", {"data_dir": str(tmp_path / "nowhere")} if how == "data_dir" else {})


def test_the_home_of_nobody_is_refused():
    with pytest.raises(InputError, match="there is no such user"):
        load("fashion-mnist", {"data_dir": "~nobody-of-this-name/data"})


def test_a_place_that_cannot_be_read_is_named(clothes, tmp_path, monkeypatch):
    put_idx(tmp_path / "fashion-mnist")
    monkeypatch.setattr(Path, "read_bytes", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(InputError, match=r"cannot read .*fashion-mnist: Permission denied"):
        load("fashion-mnist")


def test_offline_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"KMNIST.*|Kuzushiji.*BPFREE_OFFLINE.*21 MB.*--data-dir") as error:
        load("kmnist")
    assert str(tmp_path / "keras" / "datasets") in str(error.value)


def test_offline_touches_no_network(monkeypatch):
    monkeypatch.setattr(fetching, "open_https", lambda *_: pytest.fail("the network was touched"))
    for name in ("fashion-mnist", "kmnist", "cifar10", "cifar100"):
        with pytest.raises(InputError, match="forbids to fetch"):
            load(name)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_offline_is_what_the_environment_says(value, expected, monkeypatch):
    monkeypatch.setenv("BPFREE_OFFLINE", value)
    assert locations.offline() is expected


def test_the_cache_follows_xdg(monkeypatch):
    monkeypatch.delenv("BPFREE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert locations.cache() == Path("/somewhere/bpfree")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")  # to be ignored, says the specification
    assert locations.cache() == Path.home() / ".cache" / "bpfree"


# Something else -------------------------------------------------------------------------------------------------------


def test_other_pictures_under_the_same_names_are_refused(clothes, tmp_path):
    """Not skipped: the real ones further on are not taken in their place."""
    put_idx(tmp_path / "fashion-mnist", arrays=[GRAY[0] + 1, *GRAY[1:]])
    put_idx(tmp_path / "system" / "fashion-mnist")
    with pytest.raises(InputError, match=r"is not the published Fashion-MNIST \(SHA-256 of its payload is"):
        load("fashion-mnist")


def test_a_cut_gz_is_refused(clothes, tmp_path):
    put_idx(tmp_path / "fashion-mnist")
    file = tmp_path / "fashion-mnist" / (_STEMS[0] + ".gz")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="expected an IDX file of 47,056 bytes"):
        load("fashion-mnist")


def test_a_gz_that_unpacks_to_far_more_is_refused(clothes, tmp_path):
    put_idx(tmp_path / "fashion-mnist")
    (tmp_path / "fashion-mnist" / (_STEMS[0] + ".gz")).write_bytes(gzip.compress(bytes(1 << 24)))
    with pytest.raises(InputError, match="expected an IDX file of 47,056 bytes"):
        load("fashion-mnist")


def test_a_missing_file_is_named(clothes, tmp_path):
    put_idx(tmp_path / "fashion-mnist")
    (tmp_path / "fashion-mnist" / (_STEMS[3] + ".gz")).unlink()
    with pytest.raises(InputError, match=f"lacks {_STEMS[3]}.gz"):
        load("fashion-mnist")


def test_kmnist_is_verified_by_its_packed_files(tmp_path, monkeypatch):
    monkeypatch.setattr(Kmnist, "shapes", tuple(array.shape for array in GRAY))
    put_idx(tmp_path / "kmnist")
    with pytest.raises(InputError, match=r"is not the published Kuzushiji-MNIST \(its SHA-256 is"):
        load("kmnist")
    packed = tuple(sha((tmp_path / "kmnist" / f"{stem}.gz").read_bytes()) for stem in _STEMS)
    monkeypatch.setattr(Kmnist, "packed", packed)
    assert load("kmnist").test.y.tolist() == GRAY[3].tolist()


def test_unpacked_files_of_kmnist_cannot_be_checked(tmp_path):
    put_idx(tmp_path / "kmnist", "")
    with pytest.raises(InputError, match=r"unpacked files, which cannot be checked: put the four \.gz files there"):
        load("kmnist")


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_a_changed_pixel_of_cifar10_is_refused(kind, things, tmp_path):
    folder = tmp_path / getattr(Cifar10, kind)[0]
    put_folder(folder, kind)
    file = folder / getattr(Cifar10, kind)[3]
    content = bytearray(file.read_bytes())
    content[2000] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is not the published CIFAR-10 \(100 images with SHA-256"):
        load("cifar10")


BAD_PICKLES = {
    "empty": b"",
    "cut": b"\x80\x02}(",
    "without pixels": old_pickle({"labels": [1] * 20}),
    "labels beyond all integers": pickle.dumps({"data": [], "labels": [2**70] * 20}, 2),
    "labels that are no integers": pickle.dumps({"data": [], "labels": [float("inf")] * 20}, 2),
}


@pytest.mark.parametrize("case", BAD_PICKLES)
def test_a_damaged_pickle_is_refused(case, things, tmp_path):
    put_folder(tmp_path / "cifar-10-batches-py", "python")
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(BAD_PICKLES[case])
    with pytest.raises(InputError, match="it lacks .data." if case == "without pixels" else "damaged or cut short"):
        load("cifar10")


def test_a_damaged_archive_is_refused(things, tmp_path):
    put_archive(tmp_path / "cifar-10-binary.tar.gz", "binary")
    whole = (tmp_path / "cifar-10-binary.tar.gz").read_bytes()
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut short"):
        load("cifar10")


# Fetching -------------------------------------------------------------------------------------------------------------


class Answer(io.BytesIO):
    """A response that gives its bytes and says nothing of their number."""

    status, headers = 200, {}


@pytest.fixture
def network(monkeypatch):
    """File name -> content, instead of the internet; the names that were asked for."""
    files: dict[str, bytes] = {}
    requests: list[str] = []

    def open_local(url, headers):
        requests.append(url)
        return Answer(files[url.rpartition("/")[2]])

    monkeypatch.setenv("BPFREE_OFFLINE", "0")
    monkeypatch.setattr(fetching, "open_https", open_local)
    return files, requests


def test_fashion_mnist_is_fetched_once_and_then_read_from_the_cache(network, clothes, tmp_path, monkeypatch):
    files, requests = network
    for stem, array in zip(_STEMS, GRAY, strict=True):
        files[f"{stem}.gz"] = gzip.compress(idx(array))
    remotes = tuple(fetching.Remote(r.name, r.urls, len(files[r.name])) for r in FashionMnist.files)
    monkeypatch.setattr(FashionMnist, "files", remotes)
    first, second = load("fashion-mnist"), load("fashion-mnist")
    assert len(requests) == 4
    assert all(url.startswith("https://") for url in requests)
    assert first.spec.sha256 == second.spec.sha256
    assert str(tmp_path / "cache" / "data") in second.spec.source


def test_what_an_interrupted_fetch_left_is_completed(network, clothes, monkeypatch):
    files, requests = network
    for stem, array in zip(_STEMS, GRAY, strict=True):
        files[f"{stem}.gz"] = gzip.compress(idx(array))
    remotes = tuple(fetching.Remote(r.name, r.urls, len(files[r.name])) for r in FashionMnist.files)
    monkeypatch.setattr(FashionMnist, "files", remotes)
    kept = locations.downloads() / "fashion-mnist" / remotes[0].name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(files[remotes[0].name])
    load("fashion-mnist")
    assert [url.rpartition("/")[2] for url in requests] == [remote.name for remote in remotes[1:]]


def test_cifar10_is_fetched_in_its_binary_version(network, things, tmp_path, monkeypatch):
    files, requests = network
    put_archive(tmp_path / "made" / "cifar-10-binary.tar.gz", "binary")
    files["cifar-10-binary.tar.gz"] = (tmp_path / "made" / "cifar-10-binary.tar.gz").read_bytes()
    (remote,) = Cifar10.files
    size = len(files[remote.name])
    monkeypatch.setattr(Cifar10, "files", (fetching.Remote(remote.name, remote.urls, size),))
    assert load("cifar10").spec.sha256 == load("cifar10").spec.sha256
    assert requests == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]


def test_another_archive_than_the_published_one_is_not_kept(network, things, tmp_path, monkeypatch):
    files, _ = network
    put_archive(tmp_path / "made" / "cifar-10-binary.tar.gz", "binary")
    content = (tmp_path / "made" / "cifar-10-binary.tar.gz").read_bytes()
    files["cifar-10-binary.tar.gz"] = content
    monkeypatch.setattr(Cifar10, "files", (fetching.Remote(*_pair(Cifar10), len(content)),))
    monkeypatch.setattr(Cifar10, "payload", ("0" * 64, "0" * 64))
    with pytest.raises(InputError, match=r"CIFAR-10 is not on this machine: looked in .*is not the published CIFAR-10"):
        load("cifar10")
    assert not list(locations.downloads().glob("cifar*gz*[!k]"))


def _pair(cls):
    return cls.files[0].name, cls.files[0].urls


# Pictures -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """CIFAR-10 as a folder of JPEG files, as if it had three and one a class."""
    monkeypatch.setattr(Cifar10, "pictures", {"train": 3, "test": 1})
    for part, n in (("train", 3), ("test", 1)):
        for c, name in enumerate(Cifar10.names):
            (tmp_path / "cifar10_images" / part / name).mkdir(parents=True)
            for i in range(n):
                image = Image.fromarray(np.full((32, 32, 3), (20 * c, i, 9), np.uint8))
                image.save(tmp_path / "cifar10_images" / part / name / f"{i}.jpg", quality=100)
    return tmp_path / "cifar10_images"


HALF = {"val_fraction": 0.4}


def test_a_jpeg_copy_says_that_it_is_one(pictures):
    spec = load("cifar10", HALF).spec
    assert "JPEG re-encoding, not the published pixels" in spec.source
    assert "canonical" not in spec.source
    assert spec.class_names == Cifar10.names


def test_a_jpeg_copy_is_decoded_once(pictures, monkeypatch):
    first = load("cifar10", HALF)
    monkeypatch.setattr(cifar10, "_decode", lambda *_: pytest.fail("decoded again"))
    second = load("cifar10", HALF)
    assert first.spec.sha256 == second.spec.sha256
    x, y = pixels(second.test), second.test.y
    assert (x[:, 0].mean((1, 2)) / 20 - y).abs().max() < 0.2


def test_a_damaged_copy_in_the_cache_is_decoded_again(pictures):
    expected = load("cifar10", HALF).spec.sha256
    (kept,) = (locations.cache() / "decoded").iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])
    assert load("cifar10", HALF).spec.sha256 == expected


def test_a_changed_picture_is_decoded(pictures):
    before = load("cifar10", HALF).spec.sha256
    Image.fromarray(np.full((32, 32, 3), 255, np.uint8)).save(pictures / "train" / "cat" / "0.jpg")
    assert load("cifar10", HALF).spec.sha256 != before


def test_two_folders_are_not_taken_for_one_another(pictures, tmp_path):
    """Their files have the same names, sizes and times of change."""
    other = tmp_path / "other" / "cifar10"
    shutil.copytree(pictures, other)
    for root, shade in ((pictures, 0), (other, 255)):
        png = io.BytesIO()
        Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(png, "PNG")
        (root / "train" / "cat" / "0.jpg").write_bytes(png.getvalue().ljust(200))
        os.utime(root / "train" / "cat" / "0.jpg", (1, 1))
    assert load("cifar10", HALF).spec.sha256 != load("cifar10", {**HALF, "data_dir": str(other.parent)}).spec.sha256


def test_a_jpeg_under_another_name_is_still_one(pictures):
    for file in pictures.rglob("*.jpg"):
        file.rename(file.with_suffix(".png"))
    for _ in range(2):  # decoded, then from the cache
        assert "JPEG re-encoding" in load("cifar10", HALF).spec.source


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        ("train/cat/1.jpg", "cat holds 2 pictures: expected 3"),
        ("test/cat", "test holds the classes airplane, "),
        ("test", "has no test folder: expected train and test"),
    ],
)
def test_a_copy_that_is_not_whole_is_refused(gone, why, pictures):
    lost = pictures / gone
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(InputError, match=why):
        load("cifar10")


def test_pictures_are_read_where_nothing_can_be_kept(pictures, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BPFREE_CACHE", str(tmp_path / "file"))
    assert load("cifar10", HALF).spec.class_names == Cifar10.names
    assert "cannot be kept" in capsys.readouterr().err


def test_the_published_files_come_before_pictures(pictures, things, tmp_path):
    put_folder(tmp_path / "keras" / "datasets" / "cifar-10-batches-py", "python")
    assert "canonical payload" in load("cifar10").spec.source


def test_other_classes_are_refused(pictures):
    (pictures / "train" / "cat").rename(pictures / "train" / "cats")
    with pytest.raises(InputError, match=r"holds the classes airplane, .* cats"):
        load("cifar10")


# The real thing -------------------------------------------------------------------------------------------------------


def test_the_real_fashion_mnist_is_accepted(monkeypatch):
    """Debian's package: 7,000 of each class, and the mean and deviation that are used everywhere."""
    if not DEBIAN.is_dir():
        pytest.skip(f"{DEBIAN} is not here: apt-get install dataset-fashion-mnist")
    monkeypatch.setattr(locations, "SYSTEM", DEBIAN.parent)
    raw = reader_of("fashion-mnist").read(DataSettings())
    assert torch.bincount(torch.cat([raw.y, raw.y_test])).tolist() == [7000] * 10
    assert raw.x.x.float().div(255).mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert raw.x.x.float().div(255).std().item() == pytest.approx(0.3530, abs=1e-4)


@pytest.mark.parametrize("cls", [FashionMnist, Kmnist, Cifar10, Cifar100])
def test_every_address_is_https_and_every_hash_is_one(cls):
    assert all(url.startswith("https://") for file in cls.files for url in file.urls)
    hashes = [h for h in (*cls.payload, *getattr(cls, "packed", ())) if h]
    assert hashes
    assert all(re.fullmatch("[0-9a-f]{64}", h) for h in hashes)
    assert len(cls.names) == len(set(cls.names)) == (100 if cls is Cifar100 else 10)
