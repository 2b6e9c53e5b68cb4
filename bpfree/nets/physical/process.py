"""An instrument in a process of its own: one line of JSON there, one line back, within a time."""

import contextlib
import os
import selectors
import shlex
import subprocess
import time
import weakref

from bpfree.errors import InputError


class Failed(Exception):
    """No answer this time; asking again may help. The message says why."""


class Process:
    """Starts ``command`` when it is first asked, and again after it was ended."""

    def __init__(self, command: str):
        try:
            self.command = shlex.split(command)
        except ValueError as error:
            raise InputError(f"instrument = {command} is not a command: {error}") from None
        self._process: subprocess.Popen | None = None

    def ask(self, line: str, timeout_s: float) -> str:
        """Send a line, wait for one line back.

        Raises:
            Failed: no whole line within the time, or the process ended; it is then started anew for the next question.
            InputError: the command cannot be run.
        """
        try:
            process = self._running()
            return self._exchange(process, line.encode() + b"\n", time.monotonic() + timeout_s, timeout_s)
        except Failed:
            self.end()
            raise

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            try:
                self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            except (OSError, IndexError) as error:
                raise InputError(f"cannot start the instrument {' '.join(self.command)!r}: {error}") from None
            for pipe in (self._process.stdin, self._process.stdout):
                os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
            weakref.finalize(self, _end, self._process)
        return self._process

    def _exchange(self, process: subprocess.Popen, question: bytes, until_s: float, timeout_s: float) -> str:
        """Write and read at once: a long question must not wait for a process that waits to answer."""
        answer = b""
        assert process.stdin
        assert process.stdout
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            ready.register(process.stdin, selectors.EVENT_WRITE)
            while not answer.endswith(b"\n"):
                left_s = until_s - time.monotonic()
                events = ready.select(left_s) if left_s > 0 else []
                if not events:
                    raise Failed(f"no answer within {timeout_s:g} s")
                for key, _ in events:
                    if key.fileobj is process.stdout:
                        part = process.stdout.read(1 << 16)
                        if part == b"":
                            raise Failed("it ended")
                        answer += part or b""
                        continue
                    try:
                        question = question[process.stdin.write(question[: 1 << 16]) or 0 :]
                    except OSError:
                        raise Failed("it ended") from None
                    if not question:
                        ready.unregister(process.stdin)
        return answer.decode(errors="replace")

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return None if self._process is None else self._process.pid

    def end(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None


def _end(process: subprocess.Popen) -> None:
    """Close its input, which asks it to end, and see to it that it does."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[union-attr]
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.kill()
    process.wait()
