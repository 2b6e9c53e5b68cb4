"""A run's folder: the full state to disk and back, one file at a time, never half-written."""

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.training.files import locked, write_atomically

CONFIG, RECORD, HISTORY = "config.yaml", "run.json", "history.jsonl"
LAST, BEST, MODEL = "last.ckpt", "best.ckpt", "model.safetensors"


def unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state on the CPU, as safetensors takes them: each in memory of its own, also where the net has
    one of them under two names."""
    found, seen = {}, set()
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found


def read(path: Path) -> dict:
    """The state in a checkpoint, on the CPU.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: nothing to load")
    try:
        with zipfile.ZipFile(path) as archive:  # torch reads past bytes that have changed
            if changed := archive.testzip():
                raise zipfile.BadZipFile(f"{changed} is not what was written")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path} is damaged ({first}): restore the file or start a new run") from error


@dataclass
class Cursor:
    """Where a run is: ``batch`` batches of epoch ``epoch`` of phase ``phase`` are done."""

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    epochs: int = 0  # since the beginning of the run, over all phases
    steps: int = 0  # batches since the beginning of the run
    train_s: float = 0.0  # seconds spent on them


class NoFolder:
    """Where the checkpoints of a run go that leaves nothing behind."""

    def load(self) -> dict | None:
        """The state to go on from; None: there is none."""
        return None

    def save(self, state: dict) -> None:
        """Nothing is kept."""


class ReadOnlyFolder(NoFolder):
    """What the other processes of a distributed run see: they resume from the checkpoints, the first one writes."""

    def __init__(self, path: Path, resume: bool):
        self.path, self.resume = path, resume

    def load(self) -> dict | None:
        return read(self.path / LAST) if self.resume and (self.path / LAST).exists() else None


class RunFolder(ReadOnlyFolder):
    """The folder of one run, owned by one process at a time.

    Args:
        path: the folder.
        resume: go on from its last checkpoint; otherwise the folder must not exist yet.
        config: text of a new run's configuration; the folder appears with it, so that any folder can be resumed.

    Raises:
        InputError: it exists, does not exist, or another process works in it.
    """

    def __init__(self, path: Path, resume: bool = False, config: str = ""):
        super().__init__(path, resume)
        if not resume:
            _make(path, config)
        elif not (path / CONFIG).is_file():
            raise InputError(f"{path} holds no run ({CONFIG} is missing): give the folder of a run to --resume")
        self._lock = contextlib.ExitStack()
        self._lock.enter_context(locked(path, "start a run of your own"))
        for half_written in path.glob(".*.*.[0-9]*"):  # by a process that was killed
            half_written.unlink()

    def save(self, state: dict) -> None:
        """The whole state, and beside it the best state so far with the metric it reached."""
        early = state["early"]
        write_atomically(self.path / LAST, lambda file: torch.save(state, file))
        best = {"model": early["best_state"], "val": early["value"], "epoch": early["epoch"]}
        if early["best_state"]:
            write_atomically(self.path / BEST, lambda file: torch.save(best, file))
        self.write_history(state["history"])

    def write_history(self, history: list[dict]) -> None:
        text = "".join(json.dumps(entry) + "\n" for entry in history)
        self.write_text(HISTORY, text)

    def write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, lambda file: file.write(text.encode()))

    def close(self) -> None:
        self._lock.close()


def _make(path: Path, config: str) -> None:
    """A new run's folder with its configuration in it, from one moment to the next."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists():
            raise FileExistsError
        temporary.mkdir(parents=True)
        write_atomically(temporary / CONFIG, lambda file: file.write(config.encode()))
        temporary.rename(path)
    except FileExistsError:
        raise InputError(f"{path} exists: choose another --out, or go on with --resume {path}") from None
    except OSError as error:
        raise InputError(f"cannot make {path}: {error.strerror}") from None
    finally:  # gone already when all went well
        shutil.rmtree(temporary, ignore_errors=True)
