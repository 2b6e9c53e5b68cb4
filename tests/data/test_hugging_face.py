"""Hugging Face's datasets, where they are installed; ``tests/inputs/datasets.py`` plays their part elsewhere."""

import numpy as np
import pytest
import torch
from PIL import Image

from bpfree.data import as_data

datasets = pytest.importorskip("datasets")
NAMES = ["dog", "ant", "cat"]
X = [[k / 8, (k * 5 % 12) / 4] for k in range(12)]


@pytest.fixture
def rows():
    columns = {"x": datasets.Sequence(datasets.Value("float32")), "label": datasets.ClassLabel(names=NAMES)}
    values = {"x": X, "label": [k % 3 for k in range(12)]}
    return datasets.Dataset.from_dict(values, features=datasets.Features(columns))


@pytest.mark.parametrize("form", [None, "torch", "numpy"])
def test_rows_are_the_arrays_that_they_hold(rows, form):
    through = as_data(rows.with_format(form), {"val_fraction": 0.4})
    arrays = as_data((np.array(X, np.float32), [k % 3 for k in range(12)]), {"val_fraction": 0.4})
    assert through.spec.class_names == tuple(NAMES)
    for part in ("train", "val"):
        (a,), (b,) = (getattr(data, part).batches(12) for data in (through, arrays))
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)


def test_a_dictionary_of_datasets_is_parts(rows):
    data = as_data(datasets.DatasetDict({"train": rows, "validation": rows.select([0, 1]), "test": rows.select([2])}))
    assert (len(data.train), len(data.val), len(data.test)) == (12, 2, 1)


def test_pictures_are_bytes():
    pictures = [Image.fromarray(np.full((4, 4), 9 * k, np.uint8)) for k in range(12)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    rows = datasets.Dataset.from_dict(
        {"image": pictures, "label": [NAMES[k % 3] for k in range(12)]}, features=features
    )
    data = as_data(rows, {"val_fraction": 0.4})
    assert data.spec.shape == (1, 4, 4)
    assert data.spec.class_names == ("ant", "cat", "dog")
