"""The history of a run as a file that grows with it."""

import json
from typing import TYPE_CHECKING

from bpfree.errors import RunFailed
from bpfree.training.callbacks import Callback
from bpfree.training.run_folder import HISTORY, RunFolder

if TYPE_CHECKING:
    from bpfree.training.loop import Loop


class HistoryFile(Callback):
    """``history.jsonl`` grows by one line an epoch; after a resume it starts again from the checkpoint's history."""

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def on_start(self, loop: "Loop") -> None:
        self.folder.write_history(loop.history)

    def on_epoch(self, loop: "Loop") -> None:
        try:
            with (self.folder.path / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(loop.history[-1]) + "\n")
        except OSError as error:
            raise RunFailed(f"could not write {HISTORY}: {error.strerror}; checkpoints are kept") from error
