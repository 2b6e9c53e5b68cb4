"""Going on with a run: what must agree, who may do it, and which error is reported when it fails."""

import shutil
from pathlib import Path

import pytest
from small import tiny

import bpfree
from bpfree import Diverged, InputError, RunFailed
from bpfree.runs import record as records
from bpfree.runs import train as runs
from bpfree.training.files import locked
from energy import EnergyError

FOLDERS = Path(__file__).with_name("folders")
VALUES = {"hidden": (8,), "epochs": 2, "batch_size": 22, "device": "cpu", "threads": 1, "meter": "none"}


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A copy of a run of before ``max_steps`` and ``max_minutes`` were settings."""
    return Path(shutil.copytree(FOLDERS / "run-2-stopped", tmp_path / "run"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Failing(bpfree.Callback):
    """A callback that raises after the first epoch."""

    def __init__(self, error: Exception):
        self.error = error

    def on_epoch(self, loop):
        raise self.error


STOP = Failing(InputError("stop here"))


def test_a_setting_that_an_older_folder_lacks_counts_as_its_default(stopped: Path):
    before = content(stopped)
    with pytest.raises(InputError, match="was started with max_steps = None, not 5: leave it out, or start anew"):
        bpfree.train(resume=stopped, max_steps=5, meter="none")
    assert content(stopped) == before
    assert bpfree.train(resume=stopped, max_steps=None, probe=False, meter="none")["status"] == "finished"


def test_a_resumed_run_keeps_the_extensions_that_it_began_with(tmp_path: Path):
    about = {"my_lab": {"room": 7}}
    with pytest.raises(InputError, match="stop here"):
        bpfree.train("mono-forward", tiny(), out=tmp_path / "run", extensions=about, **VALUES, callbacks=[STOP])
    before = records.read(tmp_path / "run" / "run.json")["extensions"]
    after = bpfree.train("mono-forward", tiny(), resume=tmp_path / "run", meter="none")["extensions"]
    assert before["my_lab"] == after["my_lab"] == about["my_lab"]


def test_a_finished_run_that_lacks_a_setting_is_read():
    with pytest.raises(InputError, match="max_minutes = None, not 2"):
        bpfree.train(resume=FOLDERS / "run-1-finished", max_minutes=2)
    assert bpfree.train(resume=FOLDERS / "run-1-finished", max_minutes=None)["status"] == "finished"


def test_nothing_is_read_before_the_folder_is_locked(stopped: Path):
    """The other process may be writing the checkpoint just now: what it looks like is not for us to judge."""
    (stopped / "last.ckpt").write_bytes(b"half a checkpoint")
    with locked(stopped, "wait"), pytest.raises(InputError, match="another process is working in"):
        bpfree.train(resume=stopped, meter="none")
    with pytest.raises(InputError, match=r"last\.ckpt is damaged"):
        bpfree.train(resume=stopped, meter="none")


def test_a_run_that_another_process_finishes_meanwhile_is_only_read(stopped: Path, monkeypatch: pytest.MonkeyPatch):
    class Late(runs.RunFolder):
        def __init__(self, path, *args, **values):
            shutil.copytree(FOLDERS / "run-2-finished", path, dirs_exist_ok=True)
            super().__init__(path, *args, **values)

    monkeypatch.setattr(runs, "RunFolder", Late)
    record = bpfree.train(resume=stopped, meter="none")
    assert (record["status"], record["resumes"]) == ("finished", 0)
    assert content(stopped) == content(FOLDERS / "run-2-finished")


def test_a_resume_that_is_refused_lets_the_folder_go(stopped: Path):
    with pytest.raises(EnergyError, match="no energy backend"):
        bpfree.train(resume=stopped, meter="rapll")
    with locked(stopped, "wait"):
        assert {*content(stopped)} == {*content(FOLDERS / "run-2-stopped"), ".lock"}


def test_an_error_of_the_run_is_not_hidden_by_a_record_that_cannot_be_written(tmp_path: Path, monkeypatch):
    write = records.write

    def full(record, path):
        if record["status"] == "failed":
            raise RunFailed("could not write the record")
        return write(record, path)

    monkeypatch.setattr(records, "write", full)
    with pytest.raises(Diverged, match="the loss became nan"):
        bpfree.train(
            "mono-forward", tiny(), out=tmp_path / "run", callbacks=[Failing(Diverged("the loss became nan"))], **VALUES
        )


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "mine.txt"), EnergyError("no reading")])
def test_an_error_of_a_callback_or_meter_stays_what_it_is(tmp_path: Path, error: Exception):
    with pytest.raises(type(error)) as raised:
        bpfree.train("mono-forward", tiny(), out=tmp_path / "run", callbacks=[Failing(error)], **VALUES)
    assert raised.value is error
    record = records.read(tmp_path / "run" / "run.json")
    assert (record["status"], record["error"]) == ("failed", str(error))


def test_a_file_that_an_older_folder_names_from_the_working_folder_still_agrees(tmp_path: Path, monkeypatch):
    (tmp_path / "bench.py").write_text("def bench(x):\n    return x**2\n")
    monkeypatch.chdir(tmp_path)
    order = {"net": "instrument", "instrument": "bench.py:bench"}
    record = bpfree.train("physical-ff", tiny(), out="run", **order, **VALUES)
    assert record["config"]["instrument"] == f"{tmp_path / 'bench.py'}:bench"
    config = Path("run/config.yaml")
    text = config.read_text(encoding="utf-8")
    assert str(tmp_path / "bench.py") in text
    config.write_text(text.replace(str(tmp_path / "bench.py"), "bench.py"), encoding="utf-8")
    assert bpfree.train(resume="run", data=tiny(), **order) == record
