"""The embedded vowel tables: what they hold, and which rows and speakers are in which part."""

import csv

import numpy as np
import pytest
import torch

from bpfree.data import describe, load, reader_of
from bpfree.data.settings import DataSettings
from bpfree.data.tables.vowels import PetersonBarney, Vowels
from bpfree.errors import InputError

SIZES = {"vowels": (Vowels, 258, 12, 48), "peterson-barney": (PetersonBarney, 1520, 4, 76)}


def raw_rows(part) -> torch.Tensor:
    return part.rows.gather(torch.arange(len(part)))


def speakers_of(name: str, part) -> set[int]:
    """Speakers whose tokens are in ``part``, told by rows that only one of them has."""
    x, _, _, speakers = SIZES[name][0](name).table()
    who: dict[bytes, set[int]] = {}
    for row, speaker in zip(x.numpy(), speakers.tolist(), strict=True):
        who.setdefault(row.tobytes(), set()).add(speaker)
    sure = [who[row.tobytes()] for row in raw_rows(part).numpy()]
    return {next(iter(found)) for found in sure if len(found) == 1}


@pytest.mark.parametrize("name", SIZES)
def test_table_is_the_published_one(name: str):
    cls, rows, features, speakers = SIZES[name]
    x, y, names, who = cls(name).table()
    with cls.file.open() as file:
        last = list(csv.reader(file))[-1]
    assert (tuple(x.shape), len(who.unique()), len(names)) == ((rows, features), speakers, int(y.max()) + 1)
    assert x[-1].tolist() == [float(value) for value in last[-features:]]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("split", ["random", "speakers"])
def test_every_token_is_in_exactly_one_part(name: str, split: str):
    data = load(name, {"split": split}, seed=3)
    rows = torch.cat([raw_rows(part) for part in (data.train, data.val, data.test)])
    assert sorted(map(bytes, rows.numpy())) == sorted(map(bytes, SIZES[name][0](name).table()[0].numpy()))


def test_random_split_is_206_to_52():
    counts = describe("vowels")["rows"]
    assert (counts["train"] + counts["val"], counts["test"]) == (206, 52)


@pytest.mark.parametrize("name", SIZES)
def test_left_out_speakers_are_in_no_other_part(name: str):
    data = load(name, {"split": "speakers"}, seed=1)
    train, val, test = (speakers_of(name, part) for part in (data.train, data.val, data.test))
    assert len(test) == round(0.2 * SIZES[name][3])
    assert [train & test, val & test, train & val] == [set(), set(), set()]


def test_random_split_mixes_speakers():
    data = load("vowels", seed=1)
    assert speakers_of("vowels", data.train) & speakers_of("vowels", data.test)


@pytest.mark.parametrize("split", ["random", "speakers"])
def test_another_split_seed_draws_another_test_part(split: str):
    first, same, other = (load("vowels", {"split": split, "split_seed": s}, seed=9) for s in (0, 0, 1))
    rows = [sorted(map(bytes, raw_rows(data.test).numpy())) for data in (first, same, other)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


@pytest.mark.parametrize("normalize", ["standard", "positive"])
def test_statistics_come_from_the_training_part_alone(normalize: str):
    """Computed by hand: (x - mean) / sd of the training rows, minus the smallest training value for ``positive``."""
    data = load("vowels", {"normalize": normalize}, seed=2)
    train, test = (raw_rows(part).double().numpy() for part in (data.train, data.test))
    mean, sd = train.mean(0), train.std(0)
    low = ((train - mean) / sd).min() if normalize == "positive" else 0.0
    normalised = next(data.test.batches(100)).x.double().numpy()
    np.testing.assert_allclose(normalised, (test - mean) / sd - low, rtol=0, atol=1e-5)  # float32 of values up to 4000


def test_a_changed_table_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "vowels.csv"
    path.write_text(Vowels.file.read_text().replace("678", "679", 1))
    monkeypatch.setattr(Vowels, "file", path)
    with pytest.raises(InputError, match="is not the published table: install bpfree again"):
        load("vowels")


def test_without_a_split_seed_there_is_no_test_part_to_judge_on():
    reader = reader_of("vowels")
    with pytest.raises(InputError, match="give split_seed, that of the run"):
        reader.read(reader.Settings())


def test_the_hash_is_of_the_table_and_not_of_the_split():
    assert load("vowels", seed=0).spec.sha256 == load("vowels", {"split": "speakers"}, seed=1).spec.sha256


def test_positive_is_there_for_images_too():
    assert DataSettings(normalize="positive").normalize == "positive"
