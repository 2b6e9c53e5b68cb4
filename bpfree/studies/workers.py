"""Runs in processes of their own: a fresh process for each, forked from a server that has torch imported.

A run's peak memory, thread pools, caches and random state are then its own, and a crash takes nothing else with it;
forking saves the seconds that importing torch takes. Where a system cannot fork (Windows), each process is spawned.

A study's folder must stay closed to other studies for as long as one of its runs lives, also when the study itself
was killed. So every process locks a file of its own in the folder before anything else, and leaves if the study is
gone by then. As the study holds the folder's lock while it lives, at any moment one of the two is held; `owned` takes
the folder's lock first, then looks for a run that still holds one.
"""

import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from bpfree.errors import BpfreeError
from bpfree.training.files import LOCK, locked
from energy import EnergyError

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
INTERRUPTED = 130  # exit code of a run that was interrupted, or never begun
_PRELOAD = "bpfree.studies.preload"
_starting = threading.Lock()


class Worker:
    """A place for one run at a time, each in a process that ends with it; the place stays, and so does its GPU.

    Args:
        folder: of the study; every process holds a lock in it. None: there is no folder to protect.
        environ: environment variables of the runs, beside those of this process, such as the GPU that they see.

    Attributes:
        stopped: whether a stop was requested, after which no run begins.
    """

    def __init__(self, folder: Path | None = None, environ: Mapping[str, str] | None = None):
        self.folder, self.lock = folder, f"{LOCK}-{uuid.uuid4().hex[:8]}"
        self.environ, self.stopped = dict(environ or {}), False
        self._context: Any = multiprocessing.get_context(METHOD)
        self._process: Any = None
        self._pipe: Connection | None = None
        self._sending = threading.RLock()  # a signal handler may call `stop` while the thread that it interrupts sends

    def run(self, call: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function in a new process.

        Args:
            call: the function, ``module:name``.
            values: its arguments by name, plain JSON.

        Returns:
            ``{"value": …}``, or ``{"error": text, "code": exit code}``.
        """
        self._pipe, theirs = self._context.Pipe()
        if self.stopped:  # a request that comes from now on is in the pipe, where the process finds it
            with self._sending:
                self._pipe.close()
            theirs.close()
            return {"error": "stopped before it began", "code": INTERRUPTED}
        arguments = (theirs, call, dict(values), {**os.environ, **self.environ}, self.folder, self.lock)
        with _without_script():
            self._context.set_forkserver_preload([_PRELOAD])
            process = self._process = self._context.Process(target=_work, args=arguments)
            process.start()
        theirs.close()
        wait([self._pipe, process.sentinel])  # a child of the process may keep its end of the pipe open
        reply = b""
        with suppress(EOFError, OSError):
            if self._pipe.poll():
                reply = self._pipe.recv_bytes()
        process.join()
        with self._sending:
            self._pipe.close()
        if reply:
            return json.loads(reply)
        code = process.exitcode
        why = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return {"error": f"its process {why}", "code": 1}

    def stop(self) -> None:
        """Request that the run that is going on, if there is one, saves and ends; no other begins."""
        self.stopped = True
        with self._sending, suppress(OSError):  # closed, or the process has ended
            if self._pipe is not None:
                self._pipe.send_bytes(b"stop")

    def close(self) -> None:
        """Stop the run that is going on, if there is one, and wait for its end."""
        self.stop()
        if self._process is not None and self._process.pid:  # else it was interrupted before it started
            self._process.join()


@contextmanager
def owned(folder: Path, advice: str) -> Iterator[None]:
    """Keep other studies out of a folder.

    Args:
        folder: of the study.
        advice: end of the error message, the alternative to waiting.

    Raises:
        InputError: another study, or a run that outlives its study, is at work in it.
    """
    with locked(folder, advice):
        for left in folder.glob(f"{LOCK}-*"):
            with locked(folder, advice, left.name):
                pass  # a file that a killed run left behind goes with the lock on it
        yield


@contextmanager
def _without_script() -> Iterator[None]:
    """Hide the script that called: multiprocessing would run it again in each new process to import what it defines.

    A run needs nothing of it, and a script without ``if __name__ == "__main__"`` would begin its study anew there.
    """
    with _starting:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


def _work(
    pipe: Connection, call: str, values: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None, lock: str
) -> None:
    """Lock, call, reply, and leave without taking the interpreter down, which would cost a second."""
    os.dup2(2, 1)  # standard output belongs to the study alone
    os.environ.clear()  # those of the server are as old as it is
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("bpfree").disabled = True  # a run's notes are in its record, from which the study tells each once
    parent = multiprocessing.parent_process()
    with locked(folder, "stop it", lock) if folder else nullcontext():
        if parent is not None and parent.is_alive():
            threading.Thread(target=_heed, args=(pipe,), daemon=True).start()
            reply = json.dumps(_reply(call, values)).encode()
            with suppress(OSError):  # the parent is gone
                pipe.send_bytes(reply)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _heed(pipe: Connection) -> None:
    """Turn every request to stop, and the end of the parent, into a SIGTERM, after which a run saves and ends."""
    with suppress(EOFError, OSError):
        while True:
            pipe.recv_bytes()
            signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


def _reply(call: str, values: Mapping[str, Any]) -> dict[str, Any]:
    module, _, name = call.partition(":")
    try:
        return {"value": getattr(importlib.import_module(module), name)(**values)}
    except (BpfreeError, EnergyError) as error:
        return {"error": str(error), "code": getattr(error, "exit_code", 2)}
    except KeyboardInterrupt:
        return {"error": "interrupted", "code": INTERRUPTED}
    except BaseException as error:  # a mistake in somebody's rule ends that rule's run, and nothing else
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}", "code": 1}


def environments(jobs: int, meter: str, device: str) -> tuple[list[dict[str, str]], list[str]]:
    """Divide the machine between runs that go on at the same time.

    Several only where the meter reads nothing that they share: NVML alone, with a GPU for each; or no meter at all.

    Args:
        jobs: runs at a time that the user wants, 1 or more.
        meter: name of the meter.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        Environment variables of each run that may go on at the same time, and notes for the reader of the study.
    """
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

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(k) for k in range(count)]
