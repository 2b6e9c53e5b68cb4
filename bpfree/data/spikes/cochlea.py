"""Conversion of many sounds to spikes by the cochlea model: in chunks, in several processes, kept in the cache.

The chunks, and the seed of each, follow from the sounds alone, so the spikes do not depend on the number of processes.
Each chunk is kept as it is done: a conversion that is killed goes on from there. This file imports no torch: as
``python -m bpfree.data.spikes.cochlea`` it is the program of a process of the conversion.
"""

import contextlib
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from bpfree.data.locations import cache
from bpfree.errors import InputError
from bpfree.functional import cochlea
from bpfree.training.files import write_atomically

VERSION = 1  # of the model: another one makes what is in the cache stale
STEPS_A_SECOND = cochlea.RATE // 2
_CLIPS, _VALUES = 32, 64 << 20  # of a chunk, at most: sounds, and numbers in its membrane
_GRID, _RINGING = STEPS_A_SECOND // 10, STEPS_A_SECOND // 10  # lengths of the transform; silence before it wraps


@dataclass(frozen=True)
class Trains:
    """Spikes of many clips, one after the other.

    Attributes:
        starts: ``(N + 1,)`` int64, clip i has the spikes ``starts[i]:starts[i + 1]``, ascending in time.
        steps: ``(S,)`` uint32, times in steps of 1/24000 s.
        channels: ``(S,)`` uint16.
    """

    starts: np.ndarray
    steps: np.ndarray
    channels: np.ndarray


@dataclass(frozen=True)
class Chunk:
    """Some sounds of about one length.

    Attributes:
        clips: their positions among all sounds.
        sounds: float at 48 kHz.
        seed: of their spikes.
        channels: places along the membrane.
        middle_ear_hz: of `cochlea.prepare`.
    """

    clips: np.ndarray
    sounds: list[np.ndarray]
    seed: int
    channels: int
    middle_ear_hz: float


Sounds = Callable[[], Sequence[np.ndarray]]


def convert_sounds(
    sounds: Sounds, key: str, channels: int, seed: int, processes: int, middle_ear_hz: float = 0.0
) -> Trains:
    """Spikes of all sounds, from the cache where they are in it.

    Args:
        sounds: returns them, float at 48 kHz, none empty or silent; called when there is something to convert.
        key: a hash of their content.
        channels: places along the membrane.
        seed: of the spikes.
        processes: number of processes that convert.
        middle_ear_hz: of `cochlea.prepare`.

    Raises:
        InputError: there can be no folder in the cache.
        RunFailed: the cache cannot be written.
    """
    digest = hashlib.sha256(repr((VERSION, key, channels, seed, middle_ear_hz)).encode()).hexdigest()[:32]
    kept = cache() / "spikes" / f"{digest}.npz"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        if (arrays := _read(kept, *_WHOLE)) is None:
            with FileLock(kept.with_suffix(".lock")):
                arrays = _read(kept, *_WHOLE) or _convert(sounds(), kept, channels, seed, processes, middle_ear_hz)
    except OSError as error:
        raise InputError(f"cannot keep the spikes in {kept.parent}: {error.strerror or error}") from None
    return Trains(*arrays)


def _convert(
    sounds: Sequence[np.ndarray], kept: Path, channels: int, seed: int, processes: int, middle_ear_hz: float
) -> tuple:
    """Convert the chunks that no earlier try has kept, join all, keep the whole, drop the parts."""
    folder = kept.with_suffix(".parts")
    folder.mkdir(exist_ok=True)
    chunks = list(_plan(sounds, channels, seed, middle_ear_hz))
    files = [folder / f"{number}.npz" for number in range(len(chunks))]
    jobs = [(c, file) for c, file in zip(chunks, files, strict=True) if _read(file, *_PART) is None]
    _work(jobs, min(processes, len(jobs)), len(sounds))
    parts = [_read(file, *_PART) for file in files]
    clip = np.concatenate([part[0] for part in parts])  # type: ignore[index]
    order = np.argsort(clip, kind="stable")  # within a clip the steps stay ascending
    starts = np.searchsorted(clip[order], np.arange(len(sounds) + 1))
    steps, places = (np.concatenate([part[i] for part in parts])[order] for i in (1, 2))  # type: ignore[index]
    write_atomically(kept, lambda file: np.savez(file, starts=starts, steps=steps, channels=places))
    shutil.rmtree(folder)
    return starts, steps, places


_WHOLE, _PART = ("starts", "steps", "channels"), ("clip", "steps", "channels")


def _plan(sounds: Sequence[np.ndarray], channels: int, seed: int, middle_ear_hz: float) -> Iterator[Chunk]:
    """Divide the sounds into chunks by length, so that those of a chunk take about as long."""
    order = np.argsort([len(sound) for sound in sounds], kind="stable")
    first, number = 0, 0
    while first < len(order):
        most = max(1, _VALUES // (channels * (len(sounds[order[first]]) // 2 + _RINGING)))
        clips = order[first : first + min(_CLIPS, most)]
        words = hashlib.sha256(repr((seed, "cochlea", number)).encode()).digest()
        yield Chunk(clips, [sounds[i] for i in clips], int.from_bytes(words[:8], "big"), channels, middle_ear_hz)
        first, number = first + len(clips), number + 1


def convert(chunk: Chunk) -> dict[str, np.ndarray]:
    """Convert one chunk to spikes, ordered by time: the clip, the step and the channel of each."""
    lengths = np.array([len(sound) // 2 for sound in chunk.sounds])  # in steps
    steps = -(-(lengths.max() + _RINGING) // _GRID) * _GRID
    padded = np.zeros((len(lengths), 2 * (steps - 1)), np.float32)
    for row, sound in zip(padded, chunk.sounds, strict=True):
        row[: len(sound)] = cochlea.prepare(sound, chunk.middle_ear_hz)
    velocity = cochlea.membrane(padded, _transfer(int(steps), chunk.channels))
    cells, dt = velocity.reshape(-1, steps)[:, : lengths.max()], 1 / STEPS_A_SECOND
    rng = np.random.Generator(np.random.SFC64(chunk.seed))
    at, who = cochlea.bushy_cells(cochlea.hair_cells(cells, dt), len(cells), dt, rng)
    clip, channel = np.divmod(who, chunk.channels)
    heard = at < lengths[clip]  # a shorter clip of the chunk ends before the others do
    spikes = (chunk.clips[clip[heard]], at[heard], channel[heard])
    return dict(zip(_PART, (a.astype(t) for a, t in zip(spikes, (np.uint32, np.uint32, np.uint16), strict=True))))


_transfer = lru_cache(1)(cochlea.transfer)


def _keep(job: tuple[Chunk, Path]) -> None:
    spikes = convert(job[0])
    write_atomically(job[1], lambda file: np.savez(file, **spikes))  # type: ignore[arg-type]


def _work(jobs: Sequence[tuple[Chunk, Path]], processes: int, clips: int) -> None:
    """Do all jobs, and print the progress."""
    began_s, left = time.perf_counter(), sum(len(chunk.clips) for chunk, _ in jobs)
    done, printed = clips - left, 0
    print(f"converting {left} of {clips} sounds to spikes, processes: {processes}", file=sys.stderr)
    for job in _each(jobs, processes):
        done += len(job[0].clips)
        if (tenths := 10 * done // clips) > printed:
            printed = tenths
            print(f"{done} of {clips} after {time.perf_counter() - began_s:.0f} s", file=sys.stderr)


def _each(jobs: Sequence[tuple[Chunk, Path]], processes: int) -> Iterator[tuple[Chunk, Path]]:
    """Yield every job once it is done: in this process, or in several others, which get their jobs one by one."""
    if processes <= 1:
        for job in jobs:
            _keep(job)
            yield job
        return
    workers = [_Worker() for _ in range(processes)]
    free = list(workers)

    def do(job: tuple[Chunk, Path]) -> tuple[Chunk, Path]:
        worker = free.pop()
        worker(job)
        free.append(worker)
        return job

    try:
        with ThreadPoolExecutor(processes) as pool:
            yield from _cancelled(pool, pool.map(do, jobs))
    finally:
        for worker in workers:
            worker.close()


def _cancelled(pool: ThreadPoolExecutor, results: Iterator[Any]) -> Iterator[Any]:
    """Yield the results; when one fails, or when nobody wants more, cancel the jobs that have not begun."""
    try:
        yield from results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """A process that does one job after the other, and ends when its input does: when this process is gone."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bpfree.data.spikes.cochlea"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.jobs, self.replies = self.process.stdin, self.process.stdout

    def __call__(self, job: tuple[Chunk, Path]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is gone, and so gives no answer
            pickle.dump(job, self.jobs)
            self.jobs.flush()
        if self.replies.readline() != b"done\n":
            raise InputError(f"a process of the conversion ended with exit code {self.process.wait()}: run it again")

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.jobs.close()
        self.process.wait()
        self.replies.close()


def _serve() -> None:
    """Keep the spikes of every chunk from standard input, and reply to each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends it by way of its input
    replies = os.fdopen(os.dup(1), "wb")
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        _keep(job)
        replies.write(b"done\n")
        replies.flush()


def _read(file: Path, *names: str) -> tuple[np.ndarray, ...] | None:
    """Read the arrays of a kept file; None when there is none, or it is damaged."""
    from bpfree.data.verification import DAMAGED  # it imports torch, which a process of the conversion does without

    try:
        with np.load(file, allow_pickle=False) as arrays:
            return tuple(arrays[name] for name in names)
    except (KeyError, *DAMAGED):
        return None


if __name__ == "__main__":
    _serve()
