"""Work in processes of their own, one after the other, forked from one that has imported torch and done nothing else.

A run's peak memory, thread pools, caches and random state are then its own, and a crash takes nothing else with it.
What is saved are the seconds that importing torch takes in a fresh process. The server reads one job a line from its
standard input and answers with one line of JSON when the job's process has ended. When its input ends (whoever asked
is gone), or the line ``stop`` comes, it sends SIGTERM to the job, which saves and ends.

A job is ``{"call": "module:function", "values": {…}, "environ": {…}}``; an answer ``{"value": …}``, or
``{"error": text, "code": exit code}``.
"""

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from bpfree.errors import InputError

_IMPORTED = (
    "torch",
    "torch._dynamo",
    "codecarbon",
    "bpfree.runs.train",
)  # the first optimizer of a process imports dynamo


class Isolated:
    """A server of its own; `run` one job at a time. ``inherit``: file descriptors that every job holds open."""

    def __init__(self, inherit: Sequence[int] = ()):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bpfree.studies.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=tuple(inherit),
            text=True,
        )
        self._writing = threading.RLock()  # a signal may want to stop the job while its line is written

    def run(self, call: str, values: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer of ``call``, a function ``module:name``, to ``values`` (plain JSON)."""
        self._send(json.dumps({"call": call, "values": dict(values), "environ": dict(environ or {})}))
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            return {"error": f"the server of processes ended ({self.process.wait()})", "code": 1}
        return json.loads(line)

    def stop(self) -> None:
        """Ask the job that is running, if there is one, to save and end."""
        self._send("stop")

    def close(self) -> None:
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait()

    def _send(self, line: str) -> None:
        with self._writing:
            try:
                self.process.stdin.write(line + "\n")  # type: ignore[union-attr]
                self.process.stdin.flush()  # type: ignore[union-attr]
            except BrokenPipeError:
                """The server is gone: whoever waits for an answer sees that."""


def serve() -> None:
    """The server: fork a process for every job, wait for it, answer."""
    for name in _IMPORTED:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a job prints must not look like an answer
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group, they reach the job itself
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # what is there now is never collected, and so never copied, in the jobs
    for line in iter(_line, ""):
        if line == "stop\n":
            continue
        answers.write(json.dumps(_attend(json.loads(line), wake)) + "\n")
        answers.flush()


def _attend(job: Mapping[str, Any], wake: int) -> dict[str, Any]:
    """Fork the job and wait for it, passing on a request to stop."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _become(job, send)
    os.close(send)
    answer, inputs = b"", [0, receive]
    while receive in inputs:
        ready, _, _ = select.select([*inputs, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
        if receive in ready:
            part = os.read(receive, 65536)
            answer += part
            if not part:
                inputs.remove(receive)
        if 0 in ready:
            if not _line():
                inputs.remove(0)
            os.kill(child, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(receive)
    if answer:
        return json.loads(answer)
    why = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return {"error": f"its process {why}", "code": 1}


def _become(job: Mapping[str, Any], send: int) -> None:
    """The job's process: do it, answer, leave without taking the interpreter down, which would cost a second."""
    from bpfree.errors import BpfreeError
    from energy import EnergyError

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(job["environ"])
    module, _, name = job["call"].partition(":")
    try:
        found: dict[str, Any] = {"value": getattr(importlib.import_module(module), name)(**job["values"])}
    except (BpfreeError, EnergyError) as error:
        found = {"error": str(error), "code": getattr(error, "exit_code", 2)}
    except KeyboardInterrupt:
        found = {"error": "interrupted", "code": 130}
    except BaseException as error:  # a mistake in somebody's rule ends that rule's run, and nothing else
        import traceback

        traceback.print_exc()
        found = {"error": f"{type(error).__name__}: {error}", "code": 1}
    with os.fdopen(send, "w") as answer:
        answer.write(json.dumps(found))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _line() -> str:
    """One line of standard input, unbuffered, so that `select` sees every line that is still to be read."""
    found = b""
    while not found.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            break
        found += part
    return found.decode()


def slots(jobs: int, meter: str, device: str) -> tuple[list[dict[str, str]], list[str]]:
    """One environment for each run that may go on at the same time, and what a reader must know of it.

    Several only where the meter reads nothing that they share: NVML alone, with a GPU for each; or no meter at all.
    """
    if jobs < 1:
        raise InputError(f"jobs = {jobs} is not valid: expected 1 or more")
    gpus = _visible_gpus() if device in ("auto", "cuda") else []
    if jobs > 1 and meter in ("nvml", "nvml-sampled") and len(gpus) > 1:
        return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:jobs]], []
    if jobs > 1 and meter == "none":
        note = f"{jobs} runs went on at the same time: their times are no basis for a comparison"
        return [{}] * jobs, [note]
    if jobs == 1:
        return [{}], []
    why = f"the runs went one by one, not {jobs} at a time: the meter {meter} could not have told them apart"
    return [{}], [f"{why} (it can with --meter nvml and a GPU for each)"]


def _visible_gpus() -> list[str]:
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(k) for k in range(count)]


if __name__ == "__main__":
    serve()
