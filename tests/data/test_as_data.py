"""Conversion of everything that ``Trainer.fit`` accepts."""

import threading

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from bpfree.data import as_data, load, parts
from bpfree.data.sources import TensorSource
from bpfree.errors import InputError
from bpfree.training.data import Data, Spec

X, Y = torch.rand(60, 2, 3), torch.arange(60) % 3


class Pairs(Dataset):
    """A map-style Dataset that counts how often each row is read."""

    def __init__(self, x=X, y=Y):
        self.x, self.y, self.read = x, y, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        self.read += 1
        return self.x[row], self.y[row]


def rows_of(*sources):
    return sorted(map(tuple, torch.cat([b.x.flatten(1) for s in sources for b in s.batches(7)]).tolist()))


EXPECTED = sorted(map(tuple, X.flatten(1).tolist()))


def test_bpfree_data_is_passed_through():
    data = as_data((X, Y))
    assert as_data(data) is data


@pytest.mark.parametrize(
    "given",
    [
        (X, Y),
        [X, Y],
        (X.numpy(), Y.numpy()),
        (X.numpy(), Y.tolist()),
        TensorDataset(X, Y),
        Pairs(),
        Subset(Pairs(), range(60)),
    ],
    ids=["tensors", "list", "arrays", "labels as list", "TensorDataset", "Dataset", "Subset"],
)
def test_one_set_is_split_into_training_and_validation(given):
    data = as_data(given)
    assert rows_of(data.train, data.val) == EXPECTED
    assert data.test is None
    assert len(data.val) == 10


@pytest.mark.parametrize("given", [(X, Y, X[:9], Y[:9]), (Pairs(), Pairs(X[:9], Y[:9]))], ids=["arrays", "Datasets"])
def test_test_data_stay_whole_and_apart(given):
    data = as_data(given)
    assert rows_of(data.train, data.val) == EXPECTED
    assert data.test.y.tolist() == Y[:9].tolist()


def test_every_form_has_the_same_hash():
    forms = [(X, Y), (X.numpy(), Y.numpy().astype(np.uint8)), TensorDataset(X, Y), Pairs()]
    assert len({as_data(form).spec.sha256 for form in forms}) == 1


def test_the_hash_depends_on_a_single_label():
    y = Y.clone()
    y[[0, 1]] = y[[1, 0]]
    assert as_data((X, y)).spec.sha256 != as_data((X, Y)).spec.sha256


def test_the_callers_arrays_are_never_changed():
    x = X.clone()
    data = as_data((x, Y), {"normalize": "standard"})
    for source in (data.train, data.train.to("cpu", 1)):
        for batch in source.batches(60):
            batch.x.zero_()
    assert torch.equal(x, X)


def test_a_small_dataset_is_read_twice_and_never_again():
    pairs = Pairs()
    data = as_data(pairs).to("cpu", 1)
    for _ in range(3):
        list(data.train.batches(8))
    assert 120 <= pairs.read <= 125  # and a few looks at row 0


def test_a_large_dataset_is_streamed_with_the_same_rows(monkeypatch):
    monkeypatch.setattr(parts, "MEMORY_BYTES", 0)
    data, expected = as_data(Pairs(), seed=3).to("cpu", 0), as_data((X, Y), seed=3)
    assert rows_of(data.train) == rows_of(expected.train)
    assert data.spec.sha256 == ""
    assert torch.equal(data.val.y, expected.val.y)


def test_an_error_inside_a_dataset_reaches_the_caller(monkeypatch):
    class Broken(Pairs):
        targets = Y

        def __getitem__(self, row):
            if row == 40 and threading.current_thread() is not threading.main_thread():
                raise KeyError("row 40")
            return super().__getitem__(row)

    monkeypatch.setattr(parts, "MEMORY_BYTES", 0)
    data = as_data(Broken()).to("cpu", 0)
    with pytest.raises(KeyError, match="row 40"):
        rows_of(data.train, data.val)


def loaders(n=2, **options):
    return tuple(DataLoader(TensorDataset(X[i:], Y[i:]), batch_size=8, **options) for i in range(n))


def test_loaders_are_used_as_they_are():
    data = as_data(loaders())
    batches = list(data.train.batches(999))
    assert [len(b.x) for b in batches] == [8] * 7 + [4]
    assert torch.equal(torch.cat([b.x for b in batches]), X)
    assert data.train.steps(999) == 8
    assert data.spec.classes == 3
    assert not data.train.fixed


def test_a_third_loader_is_the_test_part():
    assert len(as_data(loaders(3)).test) == 58


def test_byte_batches_of_a_loader_become_0_to_1():
    x = torch.randint(0, 256, (60, 4), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(x, Y), batch_size=60)
    assert torch.equal(next(as_data((loader, loader)).train.batches(1)).x, x / 255)


def test_a_loader_can_start_at_batch_k():
    whole, rest = (list(as_data(loaders()).train.batches(8, start=k)) for k in (0, 5))
    assert all(torch.equal(a.x, b.x) for a, b in zip(whole[5:], rest, strict=True))


def test_labels_of_a_plain_dataset_in_a_loader_are_read_from_it():
    assert as_data((DataLoader(Pairs(), 8), DataLoader(Pairs(), 8))).spec.classes == 3


def test_a_loader_cannot_be_shared_out():
    with pytest.raises(InputError, match="give its dataset instead"):
        as_data(loaders()).train.batches(8, shard=(0, 2))


def bad_label(value):
    y = Y.clone().numpy().astype(object)
    y[3] = value
    return y


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


BAD = {
    "a number": (3, "cannot train on int: expected (x, y)"),
    "None": (None, "cannot train on NoneType"),
    "a name": ("mnist", "cannot train on str"),
    "three arrays": ((X, Y, X), "cannot train on Tensor, Tensor, Tensor"),
    "arrays and a Dataset": ((X, Pairs()), "cannot train on Tensor, Pairs"),
    "one loader": (loaders(1)[0], "give (train_loader, val_loader), or its dataset"),
    "rows differ": ((X, Y[:-1]), "y has 59 rows but there are 60 examples"),
    "no labels": ((X, None), "cannot train on Tensor, NoneType"),
    "swapped": ((Y, X), "x is int64"),
    "labels of two kinds": ((X, bad_label("cat")), "y holds int and str: expected labels of one kind"),
    "ragged rows": (([[1.0], [1.0, 2.0]], [0, 1]), "rows of different shapes"),
    "too large for float32": ((X.double() * 1e300, Y), "NaN or infinity"),
    "an iterable dataset": (Stream(), "it is iterable only"),
    "an empty dataset": (TensorDataset(X[:0], Y[:0]), "the dataset is empty"),
    "an unlabelled dataset": (TensorDataset(X), "not a pair (x, y)"),
    "examples of two shapes": (Pairs([*X[:5], X[0, :1], *X[6:]]), "dataset row 5 is"),
    "examples of two types": (Pairs([*X[:5], X[0].double(), *X[6:]]), "dataset row 5 is"),
    "examples of text": (Pairs(["a"] * 60), "x of dataset row 0 is a str"),
    "one label of text": (Pairs(X, ["a"] * 60), "one class only, a"),
    "loader without length": ((DataLoader(Stream()), DataLoader(Stream())), "has no length"),
    "empty loader": ((loaders(1)[0], DataLoader(TensorDataset(X[:0], Y[:0]))), "the validation loader is empty"),
    "loaders of two shapes": ((loaders(1)[0], DataLoader(TensorDataset(X[:, 0], Y))), "the validation loader gives"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_data_are_refused_in_one_line(case):
    data, message = BAD[case]
    with pytest.raises(InputError) as error:
        as_data(data)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_that_a_loader_would_ignore_are_refused():
    with pytest.raises(InputError, match="flip = True has no effect on a DataLoader"):
        as_data(loaders(), {"flip": True})


def test_a_bad_label_in_a_loader_is_refused_when_it_is_read():
    y = Y.clone()
    data = as_data((DataLoader(TensorDataset(X, y), batch_size=8), loaders(1)[0]))
    y[50] = -1
    with pytest.raises(InputError, match="y of the training loader holds label -1"):
        list(data.train.batches(8))


def test_an_empty_validation_split_is_refused():
    source = TensorSource(X, Y)
    with pytest.raises(InputError, match="validation split is empty"):
        Data(Spec("mine", (2, 3), 3, None, "classification", "accuracy", True, "", ""), source, TensorSource(X[:0]))


def test_settings_object_and_mapping_mean_the_same():
    from bpfree.data.settings import DataSettings

    a = load("mnist", DataSettings(subset=100))
    assert len(a.train) == len(load("mnist", {"subset": 100}).train) == 100
