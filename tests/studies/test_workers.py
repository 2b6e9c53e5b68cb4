"""bpfree.studies.workers: a process for each run, and a folder that stays closed for as long as one of them lives."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import bpfree
from bpfree.errors import InputError
from bpfree.studies import compare, workers
from bpfree.studies.workers import Worker
from bpfree.training.files import LOCK, locked

ROOT = Path(bpfree.__file__).parents[1]
METHODS = [method for method in ("forkserver", "spawn") if method in multiprocessing.get_all_start_methods()]
MOST_S = 300  # on a machine that is busy
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}
SMALL = {"hidden": (16,), "epochs": 1, "threads": 1, "device": "cpu", "meter": "none", "idle_s": 0}


@pytest.fixture(scope="module")
def worker():
    place = Worker()
    yield place
    place.close()


@pytest.fixture(params=METHODS)
def method(request, monkeypatch) -> str:
    """Every way in which a process can be started here."""
    monkeypatch.setattr(workers, "METHOD", request.param)
    return request.param


@pytest.fixture
def waiting_rule(tmp_path: Path) -> str:
    """A rule that makes a file when it begins, waits for ``go`` whatever signal comes, and makes one at its end."""
    file = tmp_path / "waiting.py"
    file.write_text(
        "import pathlib, signal, time\n"
        "from bpfree.rules.mono_forward import MonoForward\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "class Waiting(MonoForward):\n"
        "    def local_losses(self, batch):\n"
        "        (here / 'begun').touch()\n"
        "        while not (here / 'go').exists():\n"
        "            time.sleep(0.02)\n"
        "        yield from super().local_losses(batch)\n"
        "        (here / 'trained').touch()\n",
        encoding="utf-8",
    )
    return f"{file}:Waiting"


def until(condition, what: str):
    """Wait for a condition; a busy machine may take minutes to import torch."""
    end_s = time.monotonic() + MOST_S
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise TimeoutError(what)
        time.sleep(0.05)
    return value


def test_each_job_has_a_process_of_its_own(worker):
    jobs = [worker.run("os:getpid", {})["value"] for _ in range(2)]
    assert len({*jobs, os.getpid()}) == 3


def test_job_that_fails_or_dies_leaves_an_answer(worker):
    refused = worker.run("bpfree.runs.train:train", {})
    assert refused["code"] == 2
    assert "no rule given" in refused["error"]
    assert worker.run("os:abort", {}) == {"error": "its process was killed by SIGABRT", "code": 1}
    assert worker.run("os:_exit", {"status": 3}) == {"error": "its process ended with exit code 3", "code": 1}
    assert worker.run("math:sqrt", {"x": 1})["error"].startswith("TypeError: ")


@pytest.mark.skipif("forkserver" not in METHODS, reason="there is no server where nothing can be forked")
def test_server_outlives_a_sigterm():
    """Sent to a whole group, as `timeout` does, it is for the job: the server stays, and so does its child's answer."""
    script = (
        "import os, signal\n"
        "from bpfree.studies.workers import Worker\n"
        "worker = Worker()\n"
        "assert worker.run('os:getpgrp', {})['value'] == os.getpgrp()\n"
        "server = worker.run('os:getppid', {})['value']\n"
        "os.kill(server, signal.SIGTERM)\n"
        "assert worker.run('os:getppid', {})['value'] == server\n"
        "assert worker.run('signal:getsignal', {'signalnum': signal.SIGTERM})['value'] == signal.SIG_DFL\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=ENVIRON)


def test_job_sees_the_environment_of_its_call(monkeypatch, method):
    """Of the call, not of the moment in which the server was started; the caller's own variables stay as they are."""
    monkeypatch.setenv("WORKER_FIRST", "one")
    monkeypatch.setenv("WORKER_SECOND", "two")
    first = Worker().run("os:getenv", {"key": "WORKER_FIRST"})
    second = Worker(environ={"WORKER_SECOND": "changed"}).run("os:getenv", {"key": "WORKER_SECOND"})
    assert [first["value"], second["value"]] == ["one", "changed"]
    assert os.environ["WORKER_SECOND"] == "two"


def test_stop_is_a_sigterm_to_the_job(method, tmp_path):
    """One that has no handler dies of it."""
    place = Worker()
    answers: list[dict] = []
    call = ("multiprocessing.connection:wait", {"object_list": [], "timeout": 20})
    thread = threading.Thread(target=lambda: answers.append(place.run(*call)))
    thread.start()
    until(lambda: place._process is not None and place._process.pid, "no process")
    place.stop()
    thread.join(MOST_S)
    assert answers == [{"error": "its process was killed by SIGTERM", "code": 1}]


def test_nothing_begins_after_a_stop(monkeypatch, tmp_path):
    """A signal may come before the first run, between two, and while the next one is prepared."""
    place = Worker()
    monkeypatch.setattr(place, "_context", StopsFirst(place))
    assert place.run("os:mkdir", {"path": str(tmp_path / "made")}) == {"error": "stopped before it began", "code": 130}
    assert place.run("os:mkdir", {"path": str(tmp_path / "made")})["code"] == 130
    assert not (tmp_path / "made").exists()


class StopsFirst:
    """A context of multiprocessing for a worker that is asked to stop just before a pipe is made."""

    def __init__(self, place: Worker):
        self.place, self.context = place, place._context

    def __getattr__(self, name: str):
        return getattr(self.context, name)

    def Pipe(self):
        self.place.stop()
        return self.context.Pipe()


def test_job_prints_to_standard_error_alone(method):
    script = (
        "from bpfree.studies import workers\n"
        f"workers.METHOD = {method!r}\n"
        "workers.Worker().run('builtins:print', {'end': 'printed'})\n"
        "print('alone', end='')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", env=ENVIRON)
    assert done.stdout == "alone"
    assert "printed" in done.stderr


@pytest.fixture
def study(method, waiting_rule, data, tmp_path):
    """A study in a process of its own, with a run that has begun; and its arguments.

    The script has no guard against being run again by the processes that it starts.
    """
    values = {**SMALL, "seeds": 1, "controls": [], "out": str(tmp_path / "study")}
    script = tmp_path / "study.py"
    script.write_text(
        "from bpfree.studies import compare, workers\n"
        f"workers.METHOD = {method!r}\n"
        f"compare.compare({waiting_rule!r}, {data!r}, **{values!r})\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, env=ENVIRON, stderr=subprocess.DEVNULL)
    try:
        begun = tmp_path / "begun"
        until(lambda: begun.exists() or process.poll() is not None, "no run began")
        assert begun.exists(), "the study ended before a run began"
        yield process, (waiting_rule, data), values
    finally:
        (tmp_path / "go").touch()
        process.kill()
        process.wait()


def test_killed_study_keeps_its_folder_until_its_run_has_ended(study, tmp_path, in_process, monkeypatch):
    """SIGKILL for the study; its run lives on."""
    process, arguments, values = study
    process.kill()
    process.wait()
    with monkeypatch.context() as patch:  # a study that goes on would wait here, as the run does
        patch.setattr(compare, "Turns", lambda *_: pytest.fail("the folder was not refused"))
        with pytest.raises(InputError, match=r"another process is working in .*study: wait for it, or give another"):
            compare.compare(*arguments, **values)
    (tmp_path / "go").touch()

    def accepted() -> dict | None:
        try:
            return compare.compare(*arguments, **values)
        except InputError:
            return None

    plan = until(accepted, "the folder stays closed")
    assert {run["status"] for run in plan["runs"]} == {"finished"}
    assert not list((tmp_path / "study").glob(f"{LOCK}*"))


def test_study_that_is_stopped_waits_for_the_batch_of_its_run(study, tmp_path):
    """SIGTERM for the study alone, as from a queue: it asks its run to stop, which that does after the batch."""
    process, _, _ = study
    process.terminate()
    time.sleep(1)
    assert process.poll() is None
    (tmp_path / "go").touch()
    assert process.wait(MOST_S) == 0
    assert (tmp_path / "trained").exists()
    plan = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert plan["stopped"] is True
    assert {run["status"] for run in plan["runs"]} == {"planned"}


@pytest.mark.parametrize("alive", [True, False])
def test_job_that_comes_too_late_for_its_study_does_nothing(alive, tmp_path):
    """Its process has started, but the study is gone before it holds a lock: another may have the folder by now."""
    script = (
        "import multiprocessing, os, pathlib, sys, types\n"
        "from bpfree.studies import workers\n"
        f"parent = types.SimpleNamespace(is_alive=lambda: {alive})\n"
        "multiprocessing.parent_process = lambda: parent\n"
        "ours, theirs = multiprocessing.Pipe()\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "workers._work(theirs, 'os:mkdir', {'path': str(folder / 'done')}, dict(os.environ), folder, '.lock-1')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=ENVIRON, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["done"] * alive


def test_file_that_a_killed_job_left_is_cleared_away(tmp_path):
    (tmp_path / f"{LOCK}-0123abcd").touch()
    with workers.owned(tmp_path, "wait"):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert not list(tmp_path.iterdir())


def test_folder_with_a_live_job_is_refused(tmp_path):
    with locked(tmp_path, "stop it", f"{LOCK}-0123abcd"):
        with pytest.raises(InputError, match=r"another process is working in .*: wait for it, or go"):
            workers.owned(tmp_path, "go").__enter__()
        assert [path.name for path in tmp_path.iterdir()] == [f"{LOCK}-0123abcd"]


def test_a_process_keeps_its_notes_to_itself(worker, capfd):
    """The study tells those of all its runs, each once."""
    assert worker.run("bpfree.config.notes:tell", {"line": "of one run"}) == {"value": None}
    assert "of one run" not in capfd.readouterr().err
