"""``folder:DIR``: images by class, and folders with something wrong in them."""

import io
import os
import shutil
import subprocess
import tarfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bpfree.data import describe, load
from bpfree.data.images.files import Form
from bpfree.data.images.sets import FileRows
from bpfree.errors import InputError

CIFAR = Path(__file__).parents[4] / "shared" / "data" / "cifar10_images.tar.xz"
RNG = np.random.default_rng(0)
CATS, DOGS = (RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8) for _ in range(2))


def write(folder, images, suffix="png"):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.{suffix}")


@pytest.fixture
def root(tmp_path):
    """Six cats and six dogs of 4x5 pixels to train on, two of each to test."""
    for part, n in (("train", 6), ("test", 2)):
        write(tmp_path / part / "dog", DOGS[:n])
        write(tmp_path / part / "cat", CATS[:n])
    return tmp_path


def test_classes_are_the_sorted_folder_names(root):
    assert load(f"folder:{root}").spec.class_names == ("cat", "dog")


@pytest.mark.parametrize("resident_mb", [0, 1])
def test_images_and_labels_are_those_of_the_files(root, resident_mb):
    batch = next(load(f"folder:{root}").test.to("cpu", resident_mb).batches(9))
    expected = np.concatenate([CATS[:2], DOGS[:2]]).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(batch.x.numpy(), expected)
    assert batch.y.tolist() == [0, 0, 1, 1]


def test_gray_images_have_one_channel(tmp_path):
    write(tmp_path / "train" / "a", CATS[..., 0])
    write(tmp_path / "train" / "b", DOGS[..., 0])
    data = load(f"folder:{tmp_path}")
    assert data.spec.shape == (1, 5, 4)
    assert data.test is None


def test_one_colour_picture_makes_the_set_colour(tmp_path):
    write(tmp_path / "train" / "a", CATS[..., 0])
    write(tmp_path / "train" / "b", [DOGS[0], *DOGS[1:, ..., 0]])
    data = load(f"folder:{tmp_path}")
    assert data.spec.shape == (3, 5, 4)
    assert data.notes == ("gray pictures, read as colour with three equal channels: 11 of 12",)


def test_jpeg_and_png_are_read_and_other_files_are_not(tmp_path):
    write(tmp_path / "train" / "a", CATS, "JPG")
    write(tmp_path / "train" / "b", DOGS, "jpeg")
    (tmp_path / "train" / "a" / "notes.txt").write_text("not an image")
    assert sum(describe(f"folder:{tmp_path}")["rows"].values()) == 12


def test_the_hash_depends_on_the_bytes_of_every_file(root):
    before = load(f"folder:{root}").spec.sha256
    Image.fromarray(CATS[5]).save(root / "test" / "dog" / "1.png")
    assert load(f"folder:{root}").spec.sha256 != before


def test_the_hash_does_not_depend_on_where_the_folder_is(root):
    before = load(f"folder:{root}").spec.sha256
    moved = root.rename(root.with_name("moved"))
    assert load(f"folder:{moved}").spec.sha256 == before


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_the_folder_val_is_the_validation_part(root, name):
    write(root / name / "cat", CATS[3:5])
    write(root / name / "dog", DOGS[3:5])
    data = load(f"folder:{root}", {"val_fraction": 0.5})
    batch = next(data.val.batches(9))
    expected = np.concatenate([CATS[3:5], DOGS[3:5]]).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(batch.x.numpy(), expected)
    assert batch.y.tolist() == [0, 0, 1, 1]
    assert (len(data.train), len(data.test)) == (12, 4)


def test_links_to_folders_are_followed_but_not_in_a_circle(root):
    write(root / "elsewhere" / "more", CATS[:2])
    (root / "train" / "cat" / "link").symlink_to(root / "elsewhere", target_is_directory=True)
    (root / "elsewhere" / "back").symlink_to(root / "train" / "cat", target_is_directory=True)
    data = load(f"folder:{root}")
    assert len(data.train) + len(data.val) == 14
    assert data.notes == ("folders not read: elsewhere",)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load(f"folder:{tmp_path / 'nowhere'}")


def test_a_folder_without_train_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no train folder: expected"):
        load(f"folder:{tmp_path}")


def test_a_train_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="holds no class folders: expected at least two"):
        load(f"folder:{tmp_path}")


def test_one_class_is_refused(tmp_path):
    write(tmp_path / "train" / "cat", CATS)
    with pytest.raises(InputError, match="one class only, cat"):
        load(f"folder:{tmp_path}")


def test_an_empty_class_is_named(root):
    (root / "train" / "eel").mkdir()
    with pytest.raises(InputError, match="eel holds no image"):
        load(f"folder:{root}")


def test_a_class_that_only_test_has_is_named(root):
    write(root / "test" / "eel", CATS)
    with pytest.raises(InputError, match="eel is a class that is not in train: expected one of cat, dog"):
        load(f"folder:{root}")


def test_an_image_of_another_size_is_named(root):
    Image.fromarray(CATS[0][:3]).save(root / "train" / "dog" / "3.png")
    with pytest.raises(InputError, match=r"dog/3\.png is 4x3 pixels but the first picture is 4x5"):
        load(f"folder:{root}")


def test_a_file_that_is_no_image_is_named(root):
    (root / "train" / "dog" / "3.png").write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"cannot read image .*dog/3\.png"):
        load(f"folder:{root}")


@pytest.mark.parametrize("kept", [0.5, 0.8])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_cut_short_is_named(tmp_path, suffix, kept):
    """Damage behind a whole header shows when the pixels are decoded."""
    big = RNG.integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
    write(tmp_path / "train" / "cat", big, suffix)
    write(tmp_path / "train" / "dog", big, suffix)
    files = [tmp_path / "train" / "dog" / f"{number}.{suffix}" for number in range(6)]
    rows = FileRows(files, (40, 40), Form())
    files[3].write_bytes(files[3].read_bytes()[: int(files[3].stat().st_size * kept)])
    with pytest.raises(InputError, match=r"cannot read image .*/dog/3\.(png|jpg)"):
        load(f"folder:{tmp_path}", {"val_fraction": 0.2})
    with pytest.raises(InputError, match=r"cannot read image .*/dog/3\.(png|jpg)"):
        rows.gather(torch.arange(6))


def test_a_test_folder_without_classes_is_refused(root):
    shutil.rmtree(root / "test")
    (root / "test").mkdir()
    with pytest.raises(InputError, match="test holds no class folders"):
        load(f"folder:{root}")


def test_names_may_be_any_bytes(root):
    before = load(f"folder:{root}").spec.sha256
    file = next((root / "train" / "cat").glob("*.png"))
    file.rename(os.fsdecode(os.fsencode(file.parent) + b"/\xff.png"))
    assert load(f"folder:{root}").spec.sha256 != before


def test_no_other_program_is_started_to_decode(root, monkeypatch):
    """An EPS file, for which Pillow looks for Ghostscript, whatever its name ends in."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (root / "train" / "cat" / "z.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(InputError, match=r"cannot read image .*z\.png"):
        load(f"folder:{root}")


def test_sixteen_bit_gray_keeps_its_values(tmp_path):
    values = RNG.integers(0, 65536, (6, 5, 4), dtype=np.uint16)
    write(tmp_path / "train" / "a", values)
    write(tmp_path / "train" / "b", CATS[..., 0])
    data = load(f"folder:{tmp_path}")
    x = torch.cat([next(part.to("cpu", 1).batches(12)).x for part in (data.train, data.val)]).numpy()
    expected = np.concatenate([values / 65535, CATS[..., 0] / 255]).astype(np.float32)
    np.testing.assert_array_equal(np.sort(x.reshape(12, -1), 0), np.sort(expected.reshape(12, -1), 0))
    assert data.notes == ("pictures of 16-bit gray, their values divided by 65535 (8-bit ones by 255): 6 of 12",)


def test_real_images_of_cifar_are_read(tmp_path):
    """The first 300 images of the shared archive, compared with Pillow's own reading of each."""
    if not CIFAR.exists():
        pytest.skip(f"{CIFAR} is not here: the project's shared data are only in its own environment")
    with tarfile.open(CIFAR) as archive:
        names, files = {}, (member for member in archive if member.name.endswith(".jpg"))
        for number, member in enumerate(islice(files, 300)):
            names[member.name] = archive.extractfile(member).read()
            file = tmp_path / "train" / f"class{number % 3}" / Path(member.name).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(names[member.name])
    data = load(f"folder:{tmp_path}")
    pixels = torch.cat([next(part.to("cpu", 10).batches(300)).x for part in (data.train, data.val)])
    expected = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in names.values()]
    total = np.stack(expected).astype(np.float64).sum((0, 1, 2)) / 255
    np.testing.assert_allclose(pixels.double().sum((0, 2, 3)).numpy(), total, rtol=1e-6)
    assert data.spec.shape == (3, 32, 32)
