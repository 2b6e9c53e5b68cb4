"""Spike trains from HDF5 files in the layout of SHD and SSC: counted, split, refused when they are something else."""

import hashlib
import io
import sys
import zipfile

import h5py
import numpy as np
import pytest
import torch

from bpfree.data import describe, fetching, load, locations, reader_of
from bpfree.data.spikes import heidelberg
from bpfree.errors import InputError

SMALL = {"units": 20, "channels": 4, "crop_s": 0.1}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A machine without data and without network."""
    monkeypatch.setenv("BPFREE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BPFREE_OFFLINE", "1")
    monkeypatch.delenv("BPFREE_DATA_DIR", raising=False)
    monkeypatch.setattr(locations, "SYSTEM", tmp_path / "system")
    monkeypatch.chdir(tmp_path)


def samples(n=12, classes=2, units=20, seed=0, speakers=4):
    """Times (s), units, labels and speakers of n samples, each a little longer than the one before."""
    rng = np.random.default_rng(seed)
    times = [np.sort(rng.uniform(0.01, 0.05 + 0.005 * i, 30)) for i in range(n)]
    return (
        times,
        [rng.integers(0, units, 30) for _ in times],
        np.arange(n) % classes,
        np.arange(n) // classes % speakers,
    )


def write(file, times, units, labels, speakers=None, **replaced):
    """The layout of the Heidelberg data sets: float16 times and uint16 units, lists of variable length."""
    with h5py.File(file, "w") as out:
        lists = {"spikes/times": (times, np.float64), "spikes/units": (units, np.int64)} | replaced
        for key, (rows, dtype) in lists.items():
            held = out.create_dataset(key, (len(rows),), h5py.vlen_dtype(dtype))
            for i, row in enumerate(rows):
                held[i] = row
        if labels is not None:
            out["labels"] = labels
        if speakers is not None:
            out["extra/speaker"] = speakers
    return file


def counts(part) -> torch.Tensor:
    return part.rows.gather(torch.arange(len(part)))


def by_hand(times, units, bins=10, channels=4, group=5, bin_s=0.01) -> np.ndarray:
    out = np.zeros((len(times), bins, channels), int)
    for i, (when, which) in enumerate(zip(times, units, strict=True)):
        for t, u in zip(when - when[0], which, strict=True):
            if int(t / bin_s) < bins:
                out[i, int(t / bin_s), u // group] += 1
    return out


def test_counts_are_those_by_hand(tmp_path):
    """First spike at 0, five neighbours summed, 10 ms bins, cut at 0.1 s; both parts, in the order of the file."""
    times, units, labels, _ = samples()
    times[-1] = times[-1] * 3  # longer than the crop
    write(tmp_path / "mine_train.h5", times, units, labels)
    write(tmp_path / "mine_test.h5", *samples(seed=1)[:3])
    raw = reader_of("spikes:mine_train.h5").read(reader_of("spikes:x").Settings(**SMALL))
    np.testing.assert_array_equal(raw.x.x.numpy(), by_hand(times, units))
    np.testing.assert_array_equal(raw.x_test.x.numpy(), by_hand(*samples(seed=1)[:2]))
    assert raw.x.x.dtype == torch.uint8
    out = int((times[-1] - times[-1][0] >= 0.1).sum())
    assert raw.notes == (
        "24 of 24 samples begin with silence, which is left out: time 0 is the first spike",
        "20 units are summed to 4 channels, 5 neighbours each",
        f"1 of 24 samples are longer than crop_s = 0.1 s: {out} spikes after it are left out",
    )


def test_a_file_by_itself_has_no_test_part(tmp_path):
    write(tmp_path / "mine.h5", *samples())
    data = load("spikes:mine.h5", SMALL)
    assert data.test is None
    assert (len(data.train), len(data.val), data.spec.shape) == (10, 2, (10, 4))


def test_a_validation_file_is_the_validation_part(tmp_path):
    for part, seed in (("train", 0), ("valid", 1), ("test", 2)):
        write(tmp_path / f"mine_{part}.h5", *samples(8, seed=seed))
    data = load("spikes:mine_train.h5", SMALL)
    for part, seed in ((data.train, 0), (data.val, 1), (data.test, 2)):
        np.testing.assert_array_equal(counts(part).numpy(), by_hand(*samples(8, seed=seed)[:2]))


def test_whole_speakers_can_be_left_for_validation(tmp_path):
    """Two of a speaker's samples are neighbours: 12 samples, 4 speakers, one of them for validation."""
    times, units, labels, speakers = samples()
    write(tmp_path / "mine.h5", times, units, labels, speakers)
    data = load("spikes:mine.h5", {**SMALL, "val_on": "speakers"})
    known = by_hand(times, units)
    who = [speakers[(known == row).all((1, 2)).argmax()] for row in counts(data.val).numpy()]
    assert len(set(who)) == 1
    assert len(data.val) == (speakers == who[0]).sum()


def test_validation_on_speakers_needs_them_in_the_file(tmp_path):
    write(tmp_path / "mine.h5", *samples()[:3])
    with pytest.raises(InputError, match=r"mine.h5 has no extra/speaker: val_on = speakers needs it"):
        load("spikes:mine.h5", {**SMALL, "val_on": "speakers"})


@pytest.mark.parametrize("spikes", [0, 1])
def test_a_sample_of_one_spike_or_none_is_a_sample(spikes: int, tmp_path):
    times, units, labels, _ = samples()
    times[3], units[3] = times[3][:spikes], units[3][:spikes]
    write(tmp_path / "mine.h5", times, units, labels)
    raw = reader_of("spikes:mine.h5").read(reader_of("spikes:x").Settings(**SMALL))
    assert raw.x.x[3].sum() == raw.x.x[3, 0].sum() == spikes


def changed(index, what):
    """Samples of which one is changed: ``what(times, units, labels)`` of sample ``index``."""
    times, units, labels, _ = samples()
    what(times, units, labels, index)
    return times, units, labels


def put(name, value):
    def change(times, units, labels, i):
        {"times": times, "units": units, "labels": labels}[name][i] = value

    return change


LINE = np.linspace(0, 0.05, 30)
BAD = {
    "order": (put("times", LINE[::-1]), "sample 5 has spikes out of order: expected finite times, ascending"),
    "NaN": (put("times", np.full(30, np.nan)), "sample 5 has spikes out of order"),
    "past the window": (
        put("times", LINE * 2000),
        r"sample 5 has a spike at 100 s: expected seconds, 0\.\.60, or state the unit of spikes/times, time_unit = s",
    ),
    "before": (put("times", LINE - 1), "sample 5 has a spike at -1: expected times from 0"),
    "unit": (put("units", np.full(30, 20)), r"sample 5 names unit 20: expected 0\.\.19 \(units = 20\)"),
    "negative unit": (put("units", np.full(30, -1)), "sample 5 names unit -1"),
    "lengths": (put("units", np.zeros(7, int)), "sample 5 has 30 times but 7 units: expected as many of each"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_sample_is_named(case: str, tmp_path):
    change, why = BAD[case]
    write(tmp_path / "mine.h5", *changed(5, change))
    with pytest.raises(InputError, match=rf"mine\.h5.*{why}"):
        load("spikes:mine.h5", SMALL)


def test_labels_of_the_test_part_are_those_of_the_training_part(tmp_path):
    write(tmp_path / "mine_train.h5", *samples())
    write(tmp_path / "mine_test.h5", *samples(classes=3))
    with pytest.raises(
        InputError, match=r"labels of .*mine_test.h5 holds label 2, which no training row has: expected 0, 1"
    ):
        load("spikes:mine_train.h5", SMALL)


@pytest.mark.parametrize("key", ["spikes/times", "spikes/units", "labels"])
def test_a_missing_group_is_named(key: str, tmp_path):
    with h5py.File(write(tmp_path / "mine.h5", *samples()), "a") as file:
        del file[key]
    with pytest.raises(
        InputError, match=rf"mine.h5 lacks {key}: expected spikes/times, spikes/units, labels; it holds"
    ):
        load("spikes:mine.h5", SMALL)


def test_lists_that_do_not_fit_are_refused(tmp_path):
    times, units, labels, _ = samples()
    write(tmp_path / "mine.h5", times, units[:-1], labels)
    with pytest.raises(InputError, match="has 12 lists of times, 11 of units and 12 labels: expected as many of each"):
        load("spikes:mine.h5", SMALL)


def test_units_that_are_no_integers_are_refused(tmp_path):
    times, units, labels, _ = samples()
    write(tmp_path / "mine.h5", times, units, labels, **{"spikes/units": (units, np.float32)})
    with pytest.raises(InputError, match="sample 0 has units of type float32: expected integers"):
        load("spikes:mine.h5", SMALL)


def test_an_empty_file_is_refused(tmp_path):
    write(tmp_path / "mine.h5", [], [], np.empty(0, int))
    with pytest.raises(InputError, match="spikes/times is empty: expected an entry for every sample"):
        load("spikes:mine.h5", SMALL)


@pytest.mark.parametrize("content", [b"", b"not HDF5" * 99, None])
def test_a_damaged_file_is_refused(content, tmp_path):
    file = write(tmp_path / "mine.h5", *samples())
    file.write_bytes(file.read_bytes()[:3000] if content is None else content)
    with pytest.raises(InputError, match=r"mine.h5 is damaged, cut short or not an HDF5 file"):
        load("spikes:mine.h5", SMALL)


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match=r"no such file: .*mine\.h5"):
        load("spikes:mine.h5", SMALL)


def test_channels_must_divide_the_units(tmp_path):
    write(tmp_path / "mine.h5", *samples())
    with pytest.raises(InputError, match="channels = 6 must divide units = 20: expected one of 1, 2, 4, 5, 10, 20"):
        load("spikes:mine.h5", {**SMALL, "channels": 6})


def test_without_h5py_there_is_one_line(tmp_path, monkeypatch):
    write(tmp_path / "mine.h5", *samples())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"HDF5 files need h5py: pip install h5py"):
        load("spikes:mine.h5", SMALL)


# SHD and SSC ----------------------------------------------------------------------------------------------------------


def heidelberg_files(folder, name, parts, units=700):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, part in enumerate(parts):
        write(folder / f"{name}_{part}.h5", *samples(20, units=units, seed=seed))


@pytest.mark.parametrize("place", ["", "shd", "data/shd"])
def test_shd_keeps_its_test_part_and_cuts_a_fifth_for_validation(place: str, tmp_path):
    heidelberg_files(tmp_path / place, "shd", ("train", "test"))
    data = load("shd")
    assert (len(data.train), len(data.val), len(data.test)) == (16, 4, 20)
    assert data.spec.shape == (100, 140)
    expected = by_hand(*samples(20, units=700, seed=1)[:2], bins=100, channels=140)
    np.testing.assert_array_equal(counts(data.test).numpy(), expected)
    assert "CC BY 4.0" in data.spec.source


def test_ssc_has_a_validation_part_of_its_own(tmp_path):
    heidelberg_files(tmp_path, "ssc", ("train", "valid", "test"))
    assert describe("ssc")["rows"] == {"train": 20, "val": 20, "test": 20}


@pytest.mark.parametrize(
    ("name", "why"),
    [("shd", "BPFREE_OFFLINE forbids to fetch them"), ("ssc", "nothing is fetched, since no checksum was published")],
)
def test_what_is_not_here_says_where_to_put_it(name: str, why: str):
    with pytest.raises(InputError, match=rf"put {name}_train\.h5, .*{name}_test\.h5 \(from https://.*; {why}"):
        load(name)


class Answer(io.BytesIO):
    """A response that says how many bytes it has."""

    status = 200

    @property
    def headers(self):
        return {"Content-Length": str(len(self.getbuffer()))}


@pytest.fixture
def network(tmp_path, monkeypatch):
    """The archives of a small SHD, their MD5 taken for the published ones; what was asked for."""
    heidelberg_files(tmp_path / "made", "shd", ("train", "test"))
    files, requests = {}, []
    for part in ("train", "test"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
            out.write(tmp_path / "made" / f"shd_{part}.h5", f"shd_{part}.h5")
        files[f"shd_{part}.h5.zip"] = packed.getvalue()
    monkeypatch.setattr(heidelberg, "MD5", {name: hashlib.md5(content).hexdigest() for name, content in files.items()})
    monkeypatch.setenv("BPFREE_OFFLINE", "0")

    def open_local(url, headers):
        requests.append(url)
        return Answer(files[url.rpartition("/")[2]])

    monkeypatch.setattr(fetching, "open_https", open_local)
    return files, requests


def test_shd_is_fetched_once_and_then_read_from_the_cache(network):
    _, requests = network
    first = load("shd")
    before = len(requests)
    assert load("shd").spec.sha256 == first.spec.sha256
    assert len(requests) == before == 4  # for each archive: how long is it, and what
    assert all(url.startswith("https://zenkelab.org/datasets/shd_t") for url in requests)


def test_another_archive_is_not_kept(network, monkeypatch):
    monkeypatch.setitem(heidelberg.MD5, "shd_train.h5.zip", "0" * 32)
    with pytest.raises(InputError, match=r"is not the published file \(its MD5 is [0-9a-f]{32}\)"):
        load("shd")
    assert not list(locations.downloads().glob("shd/*.zip"))


def test_an_archive_of_the_user_is_unpacked_into_the_cache(network, tmp_path, monkeypatch):
    files, requests = network
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    load("shd")
    assert not requests
    assert sorted(file.name for file in (locations.downloads() / "shd").iterdir()) == ["shd_test.h5", "shd_train.h5"]


def test_a_damaged_archive_is_refused(network, tmp_path):
    files, _ = network
    for name, content in files.items():
        (tmp_path / name).write_bytes(content[:-50])
    with pytest.raises(InputError, match=r"shd_train.h5.zip is not the published file"):
        load("shd")


def test_a_damaged_archive_is_not_passed_over_for_a_copy_in_the_cache(network, tmp_path):
    files, _ = network
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    load("shd")
    (tmp_path / "shd_train.h5.zip").write_bytes(files["shd_train.h5.zip"][:-50])
    with pytest.raises(InputError, match=r"shd_train.h5.zip is not the published file"):
        load("shd")


def test_another_archive_is_unpacked_anew(network, tmp_path, monkeypatch):
    """SSC has no checksum: what the cache holds must be what the user's archive holds."""
    monkeypatch.setattr(heidelberg, "MD5", {})
    for seed in (0, 5):
        heidelberg_files(tmp_path / str(seed), "shd", ("train", "test"))
        write(tmp_path / str(seed) / "shd_train.h5", *samples(20, units=700, seed=seed))
        for part in ("train", "test"):
            with zipfile.ZipFile(tmp_path / f"shd_{part}.h5.zip", "w") as out:
                out.write(tmp_path / str(seed) / f"shd_{part}.h5", f"shd_{part}.h5")
        raw = reader_of("shd").read(reader_of("shd").Settings())
        expected = by_hand(*samples(20, units=700, seed=seed)[:2], bins=100, channels=140)
        np.testing.assert_array_equal(raw.x.x.numpy(), expected)


def test_a_folder_with_a_part_missing_is_not_passed_over(tmp_path, monkeypatch):
    heidelberg_files(tmp_path / "mine", "shd", ("train",))
    heidelberg_files(tmp_path / "system", "shd", ("train", "test"))
    with pytest.raises(InputError, match=r"mine holds shd_train.h5 but lacks shd_test.h5"):
        load("shd", {"data_dir": str(tmp_path / "mine")})


def test_an_archive_with_a_wrong_byte_is_refused_where_no_checksum_is_known(network, tmp_path, monkeypatch):
    files, _ = network
    monkeypatch.setattr(heidelberg, "MD5", {})
    for name, content in files.items():
        wrong = bytearray(content)
        wrong[30 + len(name) : 60 + len(name)] = bytes(30)  # within the compressed content, behind its header
        (tmp_path / name).write_bytes(wrong)
    with pytest.raises(InputError, match=r"cannot unpack .*shd_train.h5.zip"):
        load("shd")
