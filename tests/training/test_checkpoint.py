"""Run folders and checkpoints: never half-written, never shared."""

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small import loop_of, make, tiny

from bpfree.errors import InputError, RunFailed
from bpfree.training import checkpoint
from bpfree.training.files import LOCK, locked, write_atomically
from bpfree.training.loop import Loop
from bpfree.training.run_folder import BEST, CONFIG, HISTORY, LAST, NoFolder, ReadOnlyFolder, RunFolder


def state(value: float = 1.0) -> dict:
    best = {"weight": torch.tensor([value])}
    return {
        "model": {"weight": torch.tensor([value, 2.0])},
        "early": {"best_state": best, "value": 0.5, "epoch": 1},
        "history": [{"epoch": 1, "val": 0.5}],
    }


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    (folder.path / CONFIG).touch()
    return folder


def test_what_is_saved_is_what_is_loaded(folder: RunFolder):
    folder.save(state(7.0))
    folder.close()
    loaded = RunFolder(folder.path, resume=True).load()
    assert loaded["model"]["weight"].tolist() == [7.0, 2.0]
    assert loaded["history"] == [{"epoch": 1, "val": 0.5}]


def test_the_best_state_has_a_file_of_its_own(folder: RunFolder):
    folder.save(state(7.0))
    best = checkpoint.read(folder.path / BEST)
    assert (best["model"]["weight"].tolist(), best["val"], best["epoch"]) == ([7.0], 0.5, 1)


def test_without_a_best_state_there_is_no_best_file(folder: RunFolder):
    early = {"best_state": {}, "value": None, "epoch": 0}
    folder.save({**state(), "early": early})
    assert not (folder.path / BEST).exists()


def test_history_is_one_line_of_json_an_epoch(folder: RunFolder):
    folder.write_history([{"epoch": 1}, {"epoch": 2}])
    assert (folder.path / HISTORY).read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


def test_a_save_leaves_no_temporary_file(folder: RunFolder):
    folder.save(state())
    assert {path.name for path in folder.path.iterdir()} == {CONFIG, LAST, BEST, HISTORY, LOCK}


def test_a_folder_that_exists_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"exists: choose another --out, or go on with --resume"):
        RunFolder(tmp_path)


def test_resuming_a_folder_that_holds_no_run_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="holds no run"):
        RunFolder(tmp_path, resume=True)


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot make .*Not a directory"):
        RunFolder(tmp_path / "file" / "run")


def test_a_run_that_never_saved_resumes_from_the_beginning(folder: RunFolder):
    folder.close()
    assert RunFolder(folder.path, resume=True).load() is None


def test_a_new_run_starts_from_the_beginning(folder: RunFolder):
    assert folder.load() is None


def test_two_processes_cannot_own_one_folder(folder: RunFolder):
    script = (
        "import sys; from pathlib import Path; from bpfree.training.run_folder import RunFolder; "
        "RunFolder(Path(sys.argv[1]), resume=True)"
    )
    other = subprocess.run([sys.executable, "-c", script, folder.path], capture_output=True, text=True)
    assert other.returncode == 1
    assert "another process is working in" in other.stderr


def test_a_closed_folder_can_be_resumed(folder: RunFolder):
    folder.close()
    RunFolder(folder.path, resume=True).close()


def test_what_a_killed_process_left_half_written_is_cleared_away(folder: RunFolder):
    folder.save(state())
    folder.close()
    before = {path.name for path in folder.path.iterdir()}
    for name in (".last.ckpt.4711", ".history.jsonl.4711"):
        (folder.path / name).write_bytes(b"half")
    RunFolder(folder.path, resume=True).close()
    assert {path.name for path in folder.path.iterdir()} == before


def test_other_ranks_read_what_the_first_one_wrote(folder: RunFolder):
    folder.save(state(3.0))
    other = ReadOnlyFolder(folder.path, resume=True)
    other.save(state(9.0))
    assert other.load()["model"]["weight"][0] == 3.0


def test_no_folder_keeps_nothing():
    folder = NoFolder()
    folder.save(state())
    assert folder.load() is None


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.999))
def test_a_checkpoint_cut_anywhere_is_called_damaged(tmp_path: Path, cut: float):
    path = tmp_path / LAST
    torch.save(state(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(InputError, match=r"last.ckpt is damaged \(.+\): restore the file or start a new run"):
        checkpoint.read(path)


def test_a_checkpoint_with_one_bit_changed_is_called_damaged(tmp_path: Path):
    path = tmp_path / LAST
    torch.save({"weights": torch.arange(1000)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(500, 504).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"last\.ckpt is damaged .* is not what was written"):
        checkpoint.read(path)


def test_a_checkpoint_runs_no_code(tmp_path: Path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    torch.save({"model": Harmful()}, tmp_path / LAST)
    with pytest.raises(InputError, match="is damaged"):
        checkpoint.read(tmp_path / LAST)
    assert not (tmp_path / "harmed").exists()


def test_a_missing_checkpoint_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"last.ckpt does not exist: nothing to load"):
        checkpoint.read(tmp_path / LAST)


def test_a_closed_folder_keeps_no_lock_file(folder: RunFolder):
    folder.save(state())
    folder.close()
    assert {path.name for path in folder.path.iterdir()} == {CONFIG, LAST, BEST, HISTORY}


def test_a_folder_closed_twice_takes_no_lock_from_another_process(folder: RunFolder):
    """The second close finds a lock that is no longer its own."""
    folder.close()
    with locked(folder.path, "wait"):
        folder.close()
        assert (folder.path / LOCK).exists()
        with pytest.raises(InputError, match=r"another process is working in .*: wait for it, or stop it"):
            locked(folder.path, "stop it").__enter__()


def test_threads_that_write_one_file_do_not_meet(tmp_path: Path):
    """Each has content of its own, written in pieces while the others write theirs: the file is one of them, whole."""
    path, met = tmp_path / "file", threading.Barrier(4)

    def put(letter: bytes) -> None:
        def write(file):
            for _ in range(3):
                met.wait(60)
                file.write(letter * 1000)
                file.flush()

        write_atomically(path, write)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, (b"a", b"b", b"c", b"d")))  # raises what a thread raised
    assert path.read_bytes() in [letter * 3000 for letter in (b"a", b"b", b"c", b"d")]
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("writer")])
def test_a_failed_write_keeps_what_was_there(tmp_path: Path, error: Exception):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(RunFailed, match=r"could not write file: .* MiB are free in .*; what was there before is kept"):
        write_atomically(path, write)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_a_write_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """fsync of the whole content, then rename, then fsync of the folder."""
    path, order = tmp_path / "file", []
    sync, rename = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        info = os.fstat(handle)
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else info.st_size)
        sync(handle)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_atomically(path, lambda file: file.write(b"whole"))
    assert order == [5, "rename", "folder"]


def test_a_checkpoint_of_version_0_1_brings_external_systems_back():
    """There their states were kept under the name ``outside``."""

    def loop() -> Loop:
        values = {"net": "acoustic", "hidden": (5,), "epochs": 1, "batch_size": 11}
        return loop_of(make("random-features", **values), tiny(classes=3))

    finished, resumed = loop(), loop()
    finished.run()
    state = checkpoint.state_of(finished)
    state["outside"] = state.pop("external")
    checkpoint.restore(resumed, state)
    assert finished.external[0].report()["physical_calls"]["train"] == 22
    assert resumed.external[0].report() == finished.external[0].report()
