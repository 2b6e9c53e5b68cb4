"""Spoken digits as spikes: located, read, converted once, split without leaks, refused when damaged."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import recordings
import torch
from scipy.io import wavfile
from sklearn.metrics import confusion_matrix

import bpfree
from bpfree.cli.commands import main
from bpfree.data import describe, load, locations, picture, reader_of
from bpfree.data.spikes import cochlea as hearing
from bpfree.data.spikes import fsdd, sounds
from bpfree.data.spikes.bins import Cut
from bpfree.errors import InputError
from bpfree.functional import cochlea
from bpfree.runs.model import evaluate

SMALL = {"channels": 8, "units": 8, "crop_s": 0.05, "val_fraction": 0.5}
FILES = recordings.digits()
REAL = Path(os.environ.get("BPFREE_DATA_DIR", Path(__file__).parents[4] / "shared" / "data")) / fsdd.ARCHIVE


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A machine without recordings, whose cache is in the test's folder."""
    monkeypatch.setenv("BPFREE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BPFREE_DATA_DIR", raising=False)
    monkeypatch.setattr(locations, "SYSTEM", tmp_path / "system")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """A cache in which the small recordings are already spikes."""
    root = tmp_path_factory.mktemp("heard")
    recordings.folder(root, FILES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BPFREE_CACHE", str(root / "cache"))
        load("fsdd", {**SMALL, "data_dir": str(root)})
    return root


@pytest.fixture
def here(heard, monkeypatch):
    """Settings of the small recordings, with a cache that holds their spikes."""
    monkeypatch.setenv("BPFREE_CACHE", str(heard / "cache"))
    return {**SMALL, "data_dir": str(heard)}


def counts(part) -> torch.Tensor:
    return part.rows.gather(torch.arange(len(part)))


def same(a: hearing.Trains, b: hearing.Trains) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("starts", "steps", "channels"))


# Finding and reading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [recordings.archive, recordings.folder])
def test_archive_and_folder_hold_the_same_data(form, heard, tmp_path, monkeypatch):
    """The same spikes as well: those converted from one of them serve the other."""
    monkeypatch.setenv("BPFREE_CACHE", str(heard / "cache"))
    monkeypatch.setenv("BPFREE_DATA_DIR", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    form(tmp_path / "mine", FILES)
    monkeypatch.setattr(hearing, "convert", lambda *_: pytest.fail("converted again"))
    data = load("fsdd", SMALL)
    assert data.spec.sha256 == load("fsdd", {**SMALL, "data_dir": str(heard)}).spec.sha256
    assert "42 recordings at 8 kHz, resampled to 48 kHz" in data.spec.source


def test_nothing_here_says_where_to_put_it():
    with pytest.raises(
        InputError, match=r"is not on this machine: put the folder recordings of https://.*into one of \."
    ):
        load("fsdd")


def test_a_tone_excites_its_place(here):
    """The mean channel of the higher digit, 800 Hz, is nearer to the base than that of the lower, 400 Hz."""
    x, y = counts(load("fsdd", here).test).double(), load("fsdd", here).test.y
    mean = [(x[y == c].sum((0, 1)) * torch.arange(8)).sum() / x[y == c].sum() for c in (0, 1)]
    assert mean[1] < mean[0] - 0.3


def test_spikes_end_where_the_recording_does(here):
    """Recording i lasts 30 + i ms: in bins of 1 ms it has spikes up to there, and none after."""
    data = load("fsdd", {**here, "bin_ms": 1.0})
    x = counts(data.test).sum(2)  # (N, T); rows in the order of their names: index 0 to 4 of each speaker
    assert x.shape[1] == 50
    for row, one in enumerate(x):
        assert one[30 + row % 5 :].sum() == 0
    assert x[:, 10:30].sum() > 0


def test_other_bins_convert_nothing(here, monkeypatch):
    fine = load("fsdd", {**here, "bin_ms": 1.0})
    monkeypatch.setattr(hearing, "convert", lambda *_: pytest.fail("converted again"))
    coarse = load("fsdd", {**here, "bin_ms": 5.0})
    assert torch.equal(counts(fine.test).unflatten(1, (10, 5)).sum(2).to(torch.uint8), counts(coarse.test))
    assert coarse.spec.shape == (10, 8)


def test_a_channel_is_the_sum_of_neighbouring_places(here, monkeypatch):
    fine = counts(load("fsdd", here).test)
    monkeypatch.setattr(hearing, "convert", lambda *_: pytest.fail("converted again"))
    coarse = counts(load("fsdd", {**here, "channels": 2}).test)
    assert torch.equal(fine.unflatten(2, (2, 4)).sum(3).to(torch.uint8), coarse)


def test_channels_that_do_not_divide_the_places_are_refused(here):
    with pytest.raises(InputError, match="channels = 3 must divide units = 8: expected one of 1, 2, 4, 8"):
        load("fsdd", {**here, "channels": 3})


def test_another_middle_ear_converts_anew(here, monkeypatch):
    """Spikes in the cache belong to the high-pass that they were converted with."""
    monkeypatch.setattr(hearing, "convert", lambda *_: pytest.fail("converted again"))
    with pytest.raises(pytest.fail.Exception, match="converted again"):
        load("fsdd", {**here, "middle_ear_hz": 0.0})


def test_counts_reach_the_net_as_they_are(here):
    data = load("fsdd", here).to("cpu", 1000)
    batch = next(data.test.batches(100))
    assert batch.x.dtype == torch.float32
    assert torch.equal(batch.x, counts(load("fsdd", here).test).float())
    assert batch.x.max() > 1


def test_standard_scales_by_the_training_part(here):
    data = load("fsdd", {**here, "normalize": "standard"})
    raw = counts(data.train).double()
    normalised = next(data.train.batches(1000)).x.double()
    torch.testing.assert_close(normalised, (raw - raw.mean()) / raw.std(correction=0), rtol=0, atol=1e-5)


def test_description(here):
    description = describe("fsdd", here)
    data = load("fsdd", here)
    x = torch.cat([counts(part) for part in (data.train, data.val, data.test)])
    assert description["shape"] == [5, 8]
    assert description["rows"] == {"train": 6, "val": 6, "test": 30}
    assert description["spikes_a_sample"] == pytest.approx(x.double().sum().item() / 42)
    assert description["nonzero_share"] == pytest.approx((x > 0).double().mean().item())


def test_the_picture_is_a_png(here, tmp_path):
    picture("fsdd", tmp_path / "fsdd.png", here)
    assert (tmp_path / "fsdd.png").read_bytes().startswith(b"\x89PNG")


def test_what_has_no_picture_says_so(tmp_path):
    with pytest.raises(InputError, match="there is no picture of mnist: spikes have one"):
        picture("mnist", tmp_path / "mnist.png")


def test_a_model_is_evaluated_with_the_settings_of_its_training(here, tmp_path):
    """The same bins and the same speaker, without being told again; counts may come as floats."""
    values = {**here, "bin_ms": 5.0, "split": "speaker", "fold": 1}
    run = {
        "epochs": 20,
        "threads": 1,
        "meter": "none",
        "hidden": (8,),
        "batch_size": 4,
        "optimizer": "adam",
        "lr": 0.01,
    }
    record = bpfree.train("backprop", "fsdd", net="conv1d", out=tmp_path / "run", **run, **values)
    model = bpfree.load(tmp_path / "run")
    test = load("fsdd", values).test
    y = np.concatenate([batch.y.numpy() for batch in test.batches(100)])
    again = evaluate(model, "fsdd", {})
    assert again["test"] == pytest.approx(record["result"]["test"])
    x = counts(test)
    hits = confusion_matrix(y, model.predict(x).argmax(-1).numpy(), labels=[0, 1])
    np.testing.assert_array_equal(again["metrics"]["confusion"], hits)
    assert torch.equal(model.predict(x), model.predict(x.float()))


# Splits ---------------------------------------------------------------------------------------------------------------


def test_official_split_tests_on_recordings_0_to_4_and_is_balanced():
    """2,700 and 300 as in the real set: 45 left of each speaker and digit, 9 of them for validation."""
    files = {f"{d}_{s}_{i}.wav": b"" for d in range(10) for s in "abcdef" for i in range(50)}
    raw = raw_of(files, {})
    assert (len(raw.y), len(raw.y_test)) == (2700, 300)
    train, val = fsdd_split(raw, 3)
    assert (len(train), len(val)) == (2160, 540)
    assert torch.bincount(raw.strata[val]).tolist() == [9] * 60
    assert torch.bincount(raw.y_test).tolist() == [30] * 10


@pytest.mark.parametrize("fold", range(6))
def test_no_speaker_leaks(fold: int):
    """Rows are marked by their speaker: test has the fold's alone, validation one other, training the other four."""
    files = {f"{d}_{s}_{i}.wav": b"" for d in range(10) for s in "abcdef" for i in range(6)}
    raw = raw_of(files, {"split": "speaker", "fold": fold})
    train, val = fsdd_split(raw, 0)
    speakers = [set(raw.x.x[rows].flatten().tolist()) for rows in (train, val)]
    assert set(raw.x_test.x.flatten().tolist()) == {fold}
    assert (len(speakers[0]), len(speakers[1])) == (4, 1)
    assert not speakers[0] & speakers[1]
    assert fold not in speakers[0] | speakers[1]


def test_validation_on_samples_of_the_training_speakers():
    files = {f"{d}_{s}_{i}.wav": b"" for d in range(10) for s in "abcdef" for i in range(10)}
    raw = raw_of(files, {"split": "speaker", "fold": 2, "val_on": "samples"})
    train, val = fsdd_split(raw, 0)
    assert torch.bincount(raw.x.x[val].flatten().long()).tolist() == [20, 20, 0, 20, 20, 20]
    assert torch.bincount(raw.x.x[train].flatten().long()).tolist() == [80, 80, 0, 80, 80, 80]


def raw_of(files: dict[str, bytes], values: dict):
    """Raw data that the reader makes of such recordings; the one spike count of each is the number of its speaker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fsdd, "_recordings", lambda _: (Path("recordings"), dict(sorted(files.items()))))
        patch.setattr(sounds, "read_wav", lambda *_: (np.ones(2), 8000))
        who = torch.tensor(["abcdef".index(name.split("_")[1]) for name in sorted(files)], dtype=torch.uint8)
        patch.setattr(fsdd.Fsdd, "_spikes", lambda *_: (who[:, None, None], Cut(0, 0)))
        return fsdd.Fsdd("fsdd").read(fsdd.FsddSettings(**values))


def fsdd_split(raw, seed: int):
    from bpfree.data.reader import _split

    return _split(raw, fsdd.FsddSettings(), seed)


def test_the_fold_is_the_seed_modulo_6(here):
    """Three speakers: seed 8 is fold 2, seed 4 none."""
    assert (
        load("fsdd", {**here, "split": "speaker"}, 8).spec == load("fsdd", {**here, "split": "speaker", "fold": 2}).spec
    )
    folds = [load("fsdd", {**here, "split": "speaker"}, seed).spec.sha256 for seed in (0, 1)]
    assert folds[0] == folds[1]  # the same recordings, whoever is tested: runs of several seeds are of one data set
    with pytest.raises(InputError, match="fold = 4 names no speaker: expected one of 0 a, 1 b, 2 c"):
        load("fsdd", {**here, "split": "speaker"}, 4)


# Conversion -----------------------------------------------------------------------------------------------------------


def noises(n: int = 5) -> list[np.ndarray]:
    """Sounds of 31 to 35 ms."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(1500 + 50 * i).astype(np.float32) for i in range(n)]


def test_spikes_depend_on_the_seed_and_not_on_the_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(hearing, "_CLIPS", 2)
    trains = {}
    for name, seed, processes in (("one", 0, 1), ("two", 0, 2), ("other", 1, 1)):
        monkeypatch.setenv("BPFREE_CACHE", str(tmp_path / name))
        trains[name] = hearing.convert_sounds(noises, "noises", 6, seed, processes)
    assert same(trains["one"], trains["two"])
    assert not same(trains["one"], trains["other"])
    assert len(trains["one"].steps) >= 5


def test_spikes_are_those_of_the_model():
    """One sound by the functions of the model; the order of the others around it plays no part."""
    (sound,) = noises(1)
    trains = hearing.convert_sounds(lambda: [sound], "one", 6, 0, 1)
    (chunk,) = hearing._plan([sound], 6, 0, 0.0)
    steps = 2400 * 2  # 750 steps of sound and 100 ms in which the membrane rings, in whole tenths of a second
    padded = np.zeros((1, 2 * (steps - 1)))
    padded[0, : len(sound)] = cochlea.prepare(sound)
    velocity = cochlea.membrane(padded, cochlea.transfer(steps, 6))[0][:, :750]
    rng = np.random.Generator(np.random.SFC64(chunk.seed))
    at, who = cochlea.bushy_cells(cochlea.hair_cells(velocity, 1 / 24_000), 6, 1 / 24_000, rng)
    assert trains.steps.tolist() == at.tolist()
    assert trains.channels.tolist() == who.tolist()


def test_a_short_sound_beside_a_long_one_ends_with_itself():
    """10 ms beside 200 ms, in one chunk: 100 silent cells would fire 0.77 Hz x 0.19 s x 100 = 15 spikes after it."""
    rng = np.random.default_rng(0)
    pair = [rng.standard_normal(n).astype(np.float32) for n in (480, 9600)]
    trains = hearing.convert_sounds(lambda: pair, "pair", 100, 0, 1)
    assert trains.steps[: trains.starts[1]].max(initial=0) < 240
    assert trains.steps.max() > 4000


def test_a_second_load_converts_nothing(here, monkeypatch):
    monkeypatch.setattr(hearing, "convert", lambda *_: pytest.fail("converted again"))
    monkeypatch.setattr(sounds, "resample", lambda *_: pytest.fail("resampled again"))
    load("fsdd", here)


@pytest.mark.parametrize("damage", [lambda f: f.write_bytes(f.read_bytes()[:500]), lambda f: f.write_bytes(b"")])
def test_damaged_spikes_are_converted_again(damage):
    first = hearing.convert_sounds(noises, "noises", 4, 0, 1)
    (kept,) = (locations.cache() / "spikes").glob("*.npz")
    damage(kept)
    assert same(first, hearing.convert_sounds(noises, "noises", 4, 0, 1))


def test_a_killed_conversion_goes_on(monkeypatch, tmp_path):
    """Stopped in its third chunk, it has two on disk; the next try converts the other three, to the same spikes."""
    monkeypatch.setattr(hearing, "_CLIPS", 1)
    whole = hearing.convert_sounds(noises, "noises", 4, 0, 1)
    monkeypatch.setenv("BPFREE_CACHE", str(tmp_path / "killed"))
    convert, chunks = hearing.convert, []

    def until(last: int):
        def counted(chunk):
            chunks.append(chunk)
            if len(chunks) == last:
                raise KeyboardInterrupt
            return convert(chunk)

        return counted

    monkeypatch.setattr(hearing, "convert", until(3))
    with pytest.raises(KeyboardInterrupt):
        hearing.convert_sounds(noises, "noises", 4, 0, 1)
    assert not list((tmp_path / "killed").glob("spikes/*.npz"))
    assert len(list((tmp_path / "killed").glob("spikes/*.parts/*.npz"))) == 2
    chunks.clear()
    monkeypatch.setattr(hearing, "convert", until(-1))
    assert same(whole, hearing.convert_sounds(noises, "noises", 4, 0, 1))
    assert len(chunks) == 3
    assert not list((tmp_path / "killed").glob("spikes/*.parts"))


def test_sigkill_loses_at_most_one_chunk(tmp_path):
    """A process that converts and is killed, for real, between two chunks."""
    script = (
        "import numpy as np, os, signal\nfrom bpfree.data.spikes import cochlea\ncochlea._CLIPS = 1\n"
        "rng = np.random.default_rng(0)\n"
        "sounds = [rng.standard_normal(1500 + 50 * i).astype(np.float32) for i in range(5)]\n"
        "convert, done = cochlea.convert, []\n"
        "def counted(chunk):\n    done.append(1)\n"
        "    if len(done) == 3: os.kill(os.getpid(), signal.SIGKILL)\n    return convert(chunk)\n"
        "cochlea.convert = counted\ncochlea.convert_sounds(lambda: sounds, 'noises', 4, 0, 1)\n"
    )
    root = Path(hearing.__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "cache").glob("spikes/*.parts/[0-9].npz"))) == 2


def test_a_process_that_dies_is_named(monkeypatch):
    monkeypatch.setattr(hearing, "_CLIPS", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="a process of the conversion ended with exit code 1: run it again"):
        hearing.convert_sounds(noises, "noises", 4, 0, 2)


def test_progress_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(hearing, "_CLIPS", 1)
    hearing.convert_sounds(noises, "noises", 4, 0, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "converting 5 of 5 sounds to spikes, processes: 1"
    assert lines[-1].startswith("5 of 5 after ")


# Sounds ---------------------------------------------------------------------------------------------------------------


def test_another_rate_is_resampled():
    """A tone stays what it is, and lasts as long."""
    resampled = sounds.resample(recordings.tone(500, 0.1, 11_025).astype(np.float32), 11_025)
    assert len(resampled) == pytest.approx(4800, abs=3)
    np.testing.assert_allclose(resampled[500:4000], recordings.tone(500, 0.1, 48_000)[500:4000], atol=60)
    assert sounds.rates_in_words([8000, 11_025, 8000]) == "8 kHz and 11.025 kHz, resampled to 48 kHz"
    assert sounds.rates_in_words([48_000]) == "48 kHz"


def as_wav(array, rate=8000) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, rate, array)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "uint8"])
def test_every_kind_of_sample_is_the_same_sound(dtype: str):
    sound = np.sin(np.arange(400) / 5)
    stored = {"int16": 32000 * sound, "int32": 2e9 * sound, "float32": sound, "uint8": 128 + 127 * sound}[dtype]
    samples, rate = sounds.read_wav(as_wav(stored.astype(dtype)), "x.wav")
    assert rate == 8000
    np.testing.assert_allclose(samples / abs(samples).max(), sound / abs(sound).max(), atol=0.01)


WHOLE = recordings.wav(recordings.tone(400))
BAD = {
    "empty file": (b"", "is not a WAV file, or cut short"),
    "text": (b"hello" * 20, "is not a WAV file, or cut short"),
    "header only": (WHOLE[:30], "is not a WAV file, or cut short"),
    "cut short": (WHOLE[:300], "is (cut short|not a WAV file, or cut short)"),
    "no samples": (recordings.wav(np.empty(0)), "is empty: expected a recording of at least two samples"),
    "stereo": (recordings.wav(np.arange(100), channels=2), r"has 2 channels: expected one \(mono\)"),
    "silent": (recordings.wav(np.zeros(100)), "is silent: all its samples are 0"),
    "too long": (recordings.wav(np.ones(6100), rate=100), "lasts 61 s: expected at most 60 s"),
    "not a number": (as_wav(np.full(50, np.nan, np.float32)), "holds NaN or infinity"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recording_is_named(case: str, tmp_path):
    content, why = BAD[case]
    recordings.folder(tmp_path, {**FILES, "0_a_3.wav": content})
    with pytest.raises(InputError, match=f"0_a_3.wav of .*recordings {why}"):
        load("fsdd", SMALL)
    assert not (tmp_path / "cache").exists()


def test_another_name_is_refused(tmp_path):
    recordings.folder(tmp_path, {**FILES, "seven.wav": WHOLE})
    with pytest.raises(InputError, match=r"seven.wav of recordings: expected DIGIT_SPEAKER_INDEX.wav"):
        load("fsdd", SMALL)


def test_a_truncated_archive_is_refused(tmp_path):
    place = recordings.archive(tmp_path, FILES)
    place.write_bytes(place.read_bytes()[:-900])
    with pytest.raises(InputError, match=r"fsdd_recordings.tar.xz is damaged or cut short"):
        load("fsdd", SMALL)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "recordings").mkdir()
    with pytest.raises(InputError, match=r"recordings holds no recordings: expected DIGIT_SPEAKER_INDEX.wav"):
        load("fsdd", SMALL)


def test_only_test_recordings_are_refused(tmp_path):
    recordings.folder(tmp_path, recordings.digits(2, 5))
    with pytest.raises(InputError, match=r"leaves no rows to learn from: is it complete?"):
        load("fsdd", SMALL)


def test_a_bin_that_a_byte_cannot_count_is_refused(tmp_path):
    from bpfree.data.spikes.bins import Trains, count
    from bpfree.data.spikes.settings import SpikeSettings

    trains = Trains(np.array([0, 256]), np.zeros(256), np.zeros(256, int))
    with pytest.raises(InputError, match="a bin holds 256 spikes, at most 255 fit: use a smaller bin_ms"):
        count(trains, SpikeSettings(channels=1), "x")


def command(*arguments: str) -> int:
    """The command line, in this process."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def test_the_command_line_says_it_in_one_line(capsys):
    assert command("data", "fsdd") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_show_writes_a_picture_and_says_where(here, tmp_path, capsys):
    values = [part for key, value in here.items() for part in ("--set", f"{key}={value}")]
    assert command("data", "fsdd", "--show", "--json", *values) in (0, None)
    assert json.loads(capsys.readouterr().out)["picture"] == "fsdd.png"
    assert (tmp_path / "fsdd.png").stat().st_size > 1000


# The real thing -------------------------------------------------------------------------------------------------------


def test_the_real_recordings_are_found_and_read(monkeypatch):
    """3,000 clips of 8 kHz, 300 of them for the test; the spikes are left out, they take minutes."""
    if not REAL.is_file():
        pytest.skip(f"{REAL} is not here")
    monkeypatch.setenv("BPFREE_DATA_DIR", str(REAL.parent))
    blank = torch.zeros(3000, 1, 1, dtype=torch.uint8)
    monkeypatch.setattr(fsdd.Fsdd, "_spikes", lambda *_: (blank, Cut(0, 0)))
    reader = reader_of("fsdd")
    raw = reader.read(reader.Settings())
    assert (len(raw.y), len(raw.y_test), raw.classes) == (2700, 300, 10)
    assert "3000 recordings at 8 kHz, resampled to 48 kHz" in raw.source
