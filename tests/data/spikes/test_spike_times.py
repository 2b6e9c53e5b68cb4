"""Units of spike times: read as stated, never guessed where seconds are impossible; labels and notes of spike files."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bpfree.data import describe, load, reader_of
from bpfree.data.spikes.settings import SpikeFileSettings, UnitSettings
from bpfree.errors import InputError

UNITS, CHANNELS, BINS, BIN_MS = 8, 8, 20, 10
SMALL = {"units": UNITS, "channels": CHANNELS, "crop_s": BINS * BIN_MS / 1000, "bin_ms": BIN_MS, "val_fraction": 0.25}
RNG = np.random.default_rng(4)
TICKS = [np.sort(RNG.integers(1, 180_000, 25)) for _ in range(12)]  # microseconds, within the window of 0.2 s
WHICH = [RNG.integers(0, UNITS, 25) for _ in TICKS]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(times, dtype, labels=None, units=WHICH, file="mine.h5") -> str:
    """A file of spikes; its data name."""
    with h5py.File(file, "w") as out:
        for key, rows, kind in (("times", times, dtype), ("units", units, np.int64)):
            held = out.create_dataset(f"spikes/{key}", (len(rows),), h5py.vlen_dtype(kind))
            for i, row in enumerate(rows):
                held[i] = row
        out["labels"] = np.arange(len(times)) % 2 if labels is None else labels
    return f"spikes:{file}"


def counts(name: str, **settings) -> np.ndarray:
    return reader_of(name).read(SpikeFileSettings(**{**SMALL, **settings})).x.x.numpy()


def by_hand(ticks, a_bin) -> np.ndarray:
    """Counts by plain integers: ``a_bin`` ticks a bin, from the first spike."""
    out = np.zeros((len(ticks), BINS, CHANNELS), int)
    for i, (when, which) in enumerate(zip(ticks, WHICH, strict=True)):
        for tick, unit in zip(when.tolist(), which.tolist(), strict=True):
            frame = (tick - when.tolist()[0]) // a_bin
            if frame < BINS:
                out[i, frame, unit] += 1
    return out


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.float64])
@pytest.mark.parametrize(("unit", "ticks_a_bin", "step"), [("us", 10_000, 1), ("ms", 10, 1000), ("bins", 1, 10_000)])
def test_times_are_read_in_the_unit_that_is_stated(unit, ticks_a_bin, step, dtype):
    ticks = [row // step for row in TICKS]
    name = write(ticks, dtype)
    np.testing.assert_array_equal(counts(name, time_unit=unit), by_hand(ticks, ticks_a_bin))
    assert f"times are read as {unit}" in describe(name, {**SMALL, "time_unit": unit})["notes"]


@given(st.lists(st.integers(0, 250), min_size=1, max_size=30), st.integers(1, 40))
def test_a_spike_is_in_the_bin_of_its_millisecond(tmp_path_factory, ticks, bin_ms):
    """Whatever the width of a bin: by whole numbers, as seconds in floats would be a rounding away."""
    ticks = np.sort(ticks)
    file = tmp_path_factory.mktemp("spikes") / "mine.h5"
    name = write([ticks] * 4, np.int64, units=[np.zeros(len(ticks), int)] * 4, file=file)
    read = counts(name, time_unit="ms", bin_ms=bin_ms, crop_s=0.25)
    expected = np.bincount((ticks - ticks[0]) // bin_ms, minlength=read.shape[1])[: read.shape[1]]
    np.testing.assert_array_equal(read[0, :, 0], expected)


@pytest.mark.parametrize("dtype", [np.int32, np.uint64])
def test_integers_are_no_seconds(dtype):
    with pytest.raises(InputError, match=r"spikes/times are integers \(u?int\d+\).*time_unit = s, ms, us or bins"):
        load(write([row // 1000 for row in TICKS], dtype), SMALL)


def test_whole_numbers_are_no_seconds_as_floats_either():
    with pytest.raises(InputError, match="spikes/times are whole numbers, which no seconds are: state the unit"):
        load(write([row // 10_000 for row in TICKS], np.float32), {**SMALL, "crop_s": 30.0, "bin_ms": 1000})


def test_a_window_that_cuts_most_samples_asks_for_the_unit():
    """Fractions of milliseconds, short enough to be seconds: all of them would be cut at 0.2 s."""
    times = [row / 10_000 for row in TICKS]  # a bin of 10 ms is 100,000 ticks
    name = write(times, np.float64)
    longest = max(row[-1] - row[0] for row in times)
    with pytest.raises(
        InputError, match=rf"12 of 12 samples are longer than crop_s = 0.2 s, .*{longest:g} s: state the"
    ):
        load(name, SMALL)
    np.testing.assert_array_equal(counts(name, time_unit="ms"), by_hand(TICKS, 100_000))
    out = sum((row - row[0] >= 0.2).sum() for row in times)
    stated = load(name, {**SMALL, "time_unit": "s"})
    assert f"12 of 12 samples are longer than crop_s = 0.2 s: {out} spikes after it are left out" in stated.notes


def test_half_of_the_samples_may_be_cut_and_are_told():
    times = [row / 1e6 * (3 if i % 2 else 1) for i, row in enumerate(TICKS)]
    long = [row - row[0] >= 0.2 for row in times]
    assert sum(row.any() for row in long) == 6
    notes = load(write(times, np.float64), SMALL).notes
    assert (
        f"6 of 12 samples are longer than crop_s = 0.2 s: {sum(map(sum, long))} spikes after it are left out" in notes
    )


def test_a_spike_far_beyond_the_window_is_only_left_out():
    times = [np.append(row, 10**17) for row in TICKS]
    name = write(times, np.int64, units=[np.append(row, 0) for row in WHICH])
    assert counts(name, time_unit="us").sum() == 12 * 25


def test_silence_and_empty_samples_are_told():
    times = [row - row[0] if i < 4 else row for i, row in enumerate(TICKS)]
    times[0], which = times[0][:0], [WHICH[0][:0], *WHICH[1:]]
    notes = load(write(times, np.int64, units=which), {**SMALL, "time_unit": "us"}).notes
    assert notes == (
        "times are read as us",
        "8 of 12 samples begin with silence, which is left out: time 0 is the first spike",
        "1 of 12 samples have no spikes",
    )


@pytest.mark.parametrize("kind", ["words", "bytes", "floats", "from 1"])
def test_labels_are_read_as_everywhere(kind):
    y = np.arange(12) % 2
    labels = {
        "words": np.array(["dog", "cat"], dtype=h5py.string_dtype())[y],
        "bytes": np.array([b"dog", b"cat"])[y],
        "floats": y / 1,
        "from 1": y + 1,
    }[kind]
    data = load(write(TICKS, np.int64, labels), {**SMALL, "time_unit": "us"})
    names = {"words": ("cat", "dog"), "bytes": ("cat", "dog"), "floats": None, "from 1": ("1", "2")}[kind]
    assert data.spec.class_names == names
    raw = reader_of("spikes:mine.h5").read(SpikeFileSettings(**SMALL, time_unit="us"))
    assert raw.y.tolist() == (1 - y if "cat" in (names or ()) else y).tolist()


def test_the_test_part_has_the_classes_of_training():
    words = np.array(["dog", "cat"], dtype=h5py.string_dtype())
    write(TICKS, np.int64, words[np.arange(12) % 2], file="mine_train.h5")
    write(TICKS, np.int64, words[np.zeros(12, int)], file="mine_test.h5")
    data = load("spikes:mine_train.h5", {**SMALL, "time_unit": "us"})
    assert torch.equal(data.test.y, torch.ones(12, dtype=torch.int64))


def test_published_sets_have_their_unit():
    """Their files are in seconds: nothing to state, and no setting that a recipe would lack."""
    assert not hasattr(UnitSettings(), "time_unit")
    assert reader_of("shd").Settings is UnitSettings
