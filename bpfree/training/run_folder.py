"""A run's folder: its files, and checkpoints that are never half-written."""

import contextlib
import json
import os
import shutil
from pathlib import Path

from bpfree.errors import InputError
from bpfree.training.checkpoint import read, write
from bpfree.training.files import locked, write_text

CONFIG, RECORD, HISTORY = "config.yaml", "run.json", "history.jsonl"
LAST, BEST, MODEL = "last.ckpt", "best.ckpt", "model.safetensors"


class NoFolder:
    """The folder of a run that keeps no checkpoint."""

    def load(self) -> dict | None:
        """The state to resume from; None: there is none."""
        return None

    def save(self, state: dict) -> None:
        """Nothing is kept."""


class ReadOnlyFolder(NoFolder):
    """The folder as the other processes of a distributed run see it: they resume from it, the first one writes.

    Args:
        path: the folder.
        resume: there is a checkpoint to go on from.
    """

    def __init__(self, path: Path, resume: bool):
        self.path, self.resume = path, resume

    def load(self) -> dict | None:
        return read(self.path / LAST) if self.resume and (self.path / LAST).exists() else None

    def close(self) -> None:
        """Nothing is held."""


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
        write(self.path / LAST, state)
        best = {"model": early["best_state"], "val": early["value"], "epoch": early["epoch"]}
        if early["best_state"]:
            write(self.path / BEST, best)
        self.write_history(state["history"])

    def write_history(self, history: list[dict]) -> None:
        """Write ``history.jsonl`` anew, one line an epoch."""
        text = "".join(json.dumps(entry) + "\n" for entry in history)
        write_text(text, self.path / HISTORY)

    def close(self) -> None:
        """Let other processes work in the folder."""
        self._lock.close()


def _make(path: Path, config: str) -> None:
    """A new run's folder with its configuration in it, from one moment to the next."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists():
            raise FileExistsError
        temporary.mkdir(parents=True)
        write_text(config, temporary / CONFIG)
        temporary.rename(path)
    except FileExistsError:
        raise InputError(f"{path} exists: choose another --out, or go on with --resume {path}") from None
    except OSError as error:
        raise InputError(f"cannot make {path}: {error.strerror}") from None
    finally:  # gone already when all went well
        shutil.rmtree(temporary, ignore_errors=True)
