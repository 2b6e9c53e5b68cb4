"""A Dataset with random transforms is drawn anew in every epoch, under seeds that a resumed run finds again."""

import random

import numpy as np
import pytest
import torch
from small import loop_of, weights_hash
from torch.utils.data import Dataset, TensorDataset

from bpfree.data import as_data, parts
from bpfree.errors import InputError
from bpfree.training.run_folder import RunFolder

N = 48
X, Y = torch.rand(N, 6, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 3


class Noisy(Dataset):
    """Rows with a draw of torch, numpy and Python in their last three values."""

    def __len__(self):
        return N

    def __getitem__(self, row):
        x = X[row].clone()
        x[-3:] = torch.tensor([torch.rand(()).item(), np.random.rand(), random.random()])
        return x, int(Y[row])


class Own(Noisy):
    """Random numbers of a generator that nobody else can seed."""

    rng = np.random.default_rng(0)

    def __getitem__(self, row):
        return X[row] + self.rng.random(dtype=np.float32), int(Y[row])


class Mixed(Noisy):
    """Labels that are drawn too."""

    def __getitem__(self, row):
        return X[row], random.randrange(3)


def epoch(source, seed, **options):
    """All rows of a pass in the order of the source, and the numbers of those rows."""
    rng = None if seed is None else torch.Generator().manual_seed(seed)
    batches = list(source.batches(7, rng=rng, **options))
    return torch.cat([batch.x for batch in batches]), torch.cat([batch.index for batch in batches])


def test_rows_differ_from_epoch_to_epoch_and_return_with_the_seed():
    train = as_data(Noisy()).to("cpu", 100).train
    a, again, b = (epoch(train, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(a, again)
    assert torch.equal(a[:, :3], b[:, :3])
    assert not (a[:, 3:] == b[:, 3:]).any()
    assert len(a[:, -1].unique()) == len(a)
    assert not train.fixed


def test_a_row_is_the_same_in_any_order_and_from_any_batch_on():
    train = as_data(Noisy()).to("cpu", 100).train
    whole, _ = epoch(train, 5)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    shuffled, index = epoch(train, 5, order=order)
    assert torch.equal(shuffled, whole[index])
    assert torch.equal(epoch(train, 5, order=order, start=3)[0], shuffled[21:])


def test_validation_rows_are_alike_in_every_pass_and_it_is_told():
    data = as_data(Noisy()).to("cpu", 100)
    assert torch.equal(epoch(data.val, None)[0], epoch(data.val, None)[0])
    assert any("validation rows go through the random transforms too" in note for note in data.notes)
    assert any("dataset gives a row anew at each read (random transforms)" in note for note in data.notes)


def test_a_validation_dataset_of_its_own_is_not_transformed():
    parts = Noisy(), TensorDataset(X[:9], Y[:9]), TensorDataset(X[:6], Y[:6])
    data = as_data(parts, {"normalize": "none"}).to("cpu", 100)
    assert torch.equal(epoch(data.val, None)[0], X[:9])
    assert torch.equal(epoch(data.test, None)[0], X[:6])
    assert len(data.train) == N
    assert data.val.fixed
    assert not data.train.fixed
    assert not any("validation" in note for note in data.notes)


def test_global_random_states_are_left_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = torch.rand(2), np.random.rand(), random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    epoch(as_data(Noisy()).train, 1)
    assert torch.equal(torch.rand(2), expected[0])
    assert (np.random.rand(), random.random()) == expected[1:]


@pytest.mark.parametrize("memory", [1 << 30, 0], ids=["in memory", "streamed"])
def test_freeze_keeps_one_reading(memory, monkeypatch):
    monkeypatch.setattr(parts, "MEMORY_BYTES", memory)
    data = as_data(Noisy(), {"freeze": True}).to("cpu", 0)
    a, b = (epoch(data.train, seed)[0] for seed in (1, 2))
    assert torch.equal(a, b)
    assert data.train.fixed
    assert "the dataset has random transforms: frozen, each row as it was read first" in data.notes


def test_a_set_too_large_for_memory_is_drawn_alike(monkeypatch):
    expected = as_data(Noisy(), seed=2).to("cpu", 0)
    monkeypatch.setattr(parts, "MEMORY_BYTES", 0)
    streamed = as_data(Noisy(), seed=2).to("cpu", 0)
    for part in ("train", "val"):
        a, b = (epoch(getattr(data, part), 4)[0] for data in (expected, streamed))
        assert torch.equal(a, b)


def test_the_hash_is_that_of_one_reading():
    assert as_data(Noisy()).spec.sha256 == as_data(Noisy()).spec.sha256 != ""


def test_random_numbers_of_its_own_are_told_and_have_no_hash():
    data = as_data(Own())
    assert data.spec.sha256 == ""
    assert any("no run on it can be repeated exactly" in note for note in data.notes)


def test_labels_that_change_are_refused():
    with pytest.raises(InputError, match=r"dataset row \d+ has label \d, then \d: labels must be the same"):
        as_data(Mixed())


def test_a_sample_of_a_large_set_is_read_twice(monkeypatch):
    from bpfree.data import map_style

    monkeypatch.setattr(map_style, "TWICE", 10)

    class Still(Noisy):
        def __getitem__(self, row):
            return X[row], int(Y[row])

    assert "10 of 48 rows of the dataset were read twice, alike: taken as fixed" in as_data(Still()).notes


@pytest.mark.parametrize("stop", [3, 8], ids=["within the first epoch", "within the second"])
def test_a_run_resumed_within_an_epoch_sees_the_rows_that_it_would_have_seen(tmp_path, stop):
    """Dropout draws from the global generator that the rows are seeded from: each must leave the other alone."""

    def loop(folder=None, callbacks=()):
        blocks = [torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Dropout(0.3)), torch.nn.Linear(5, 3)]
        torch.manual_seed(0)
        for block in blocks:
            for parameter in block.parameters():
                torch.nn.init.normal_(parameter)
        from bpfree import rules

        trainer = rules.rule("mono-forward")(blocks, epochs=3, batch_size=8)
        return loop_of(trainer, as_data(Noisy()), folder=folder, callbacks=callbacks)

    class Stop:
        def on_batch(self, loop):
            if loop.cursor.steps == stop:
                loop.stop("enough")

    whole = loop()
    whole.run()
    folder = RunFolder(tmp_path / "run", config="")
    loop(folder, [Stop()]).run()
    folder.close()
    folder = RunFolder(tmp_path / "run", resume=True)
    resumed = loop(folder)
    resumed.run()
    folder.close()
    assert weights_hash(resumed.trainer) == weights_hash(whole.trainer)


@pytest.mark.parametrize("memory", [1 << 30, 0], ids=["in memory", "streamed"])
@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_of_another_shape_is_refused(memory, part, monkeypatch):
    class Wider(Noisy):
        def __getitem__(self, row):
            x, y = super().__getitem__(row)
            return torch.cat([x, x]), y

    monkeypatch.setattr(parts, "MEMORY_BYTES", memory)
    with pytest.raises(InputError, match="expected the same"):
        as_data({"train": Noisy(), part: Wider()})
