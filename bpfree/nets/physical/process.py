"""An instrument in a process of its own: one line of JSON there, one line back, within a time."""

import contextlib
import queue
import shlex
import subprocess
import threading
import time
import weakref
from io import BufferedReader
from typing import BinaryIO

from bpfree.errors import InputError

_CHUNK = 1 << 16  # bytes
_PATIENCE_S = 0.2  # for an instrument that should end by itself

Questions = queue.SimpleQueue[bytes | None]  # None: there are no more
Chunks = queue.SimpleQueue[bytes]  # b"": the process has ended


class Failed(Exception):
    """No answer this time; asking again may help. The message says why."""


class Process:
    """An instrument that is started for the first question, and again after it was ended.

    Args:
        command: program and arguments, as a shell would split them.

    Raises:
        InputError: it cannot be split.
    """

    def __init__(self, command: str):
        try:
            self.command = shlex.split(command)
        except ValueError as error:
            raise InputError(f"instrument = {command} is not a command: {error}") from None
        self._running: _Running | None = None

    def ask(self, line: str, timeout_s: float) -> str:
        """Send a line, wait for one line back.

        Args:
            line: the question, without its end of line.
            timeout_s: seconds until the answer must be there.

        Returns:
            The answer with its end of line.

        Raises:
            Failed: no whole line within the time, or the process ended; it is then started anew for the next question.
            InputError: the command cannot be run.
        """
        if self._running is None:
            self._running = _Running(self.command)
        try:
            return self._running.exchange(line.encode() + b"\n", timeout_s)
        except Failed:
            self.end()
            raise

    @property
    def pid(self) -> int | None:
        """Number of the process that runs now."""
        return None if self._running is None else self._running.process.pid

    def end(self) -> None:
        """End the process, if one runs."""
        if self._running is not None:
            self._running.end()
            self._running = None


class _Running:
    """One process, with a thread at each of its pipes, as a long question must not wait for one that waits to answer.

    Each thread closes its own pipe. Raises InputError when the command cannot be run.
    """

    def __init__(self, command: list[str]):
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except (OSError, IndexError) as error:
            raise InputError(f"cannot start the instrument {' '.join(command)!r}: {error}") from None
        self._questions: Questions = queue.SimpleQueue()
        self._chunks: Chunks = queue.SimpleQueue()
        threading.Thread(target=_write, args=(self.process.stdin, self._questions), daemon=True).start()
        threading.Thread(target=_read, args=(self.process.stdout, self._chunks), daemon=True).start()
        self.end = weakref.finalize(self, _end, self.process, self._questions)

    def exchange(self, question: bytes, timeout_s: float) -> str:
        until_s, answer = time.monotonic() + timeout_s, b""
        self._questions.put(question)
        while not answer.endswith(b"\n"):
            try:
                chunk = self._chunks.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                raise Failed(f"no answer within {timeout_s:g} s") from None
            if not chunk:
                raise Failed("it ended")
            answer += chunk
        return answer.decode(errors="replace")


def _write(pipe: BinaryIO, questions: Questions) -> None:
    with contextlib.suppress(OSError), pipe:  # a process that has ended is seen at its other pipe
        for question in iter(questions.get, None):
            pipe.write(question)
            pipe.flush()


def _read(pipe: BufferedReader, chunks: Chunks) -> None:
    with pipe:
        while chunk := pipe.read1(_CHUNK):
            chunks.put(chunk)
    chunks.put(b"")


def _end(process: subprocess.Popen, questions: Questions) -> None:
    """Close its input, which asks it to end, and see to it that it does."""
    questions.put(None)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE_S)
    process.kill()
    process.wait()
