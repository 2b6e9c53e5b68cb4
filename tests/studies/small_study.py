"""Settings of a study that takes seconds, and a double that runs in this process what belongs in one of its own."""

import importlib
from typing import Any

from bpfree.errors import BpfreeError
from energy import EnergyError

SMALL = {"hidden": (16,), "epochs": 2, "threads": 1, "device": "cpu", "meter": "none", "idle_s": 0}


class InProcess:
    """`bpfree.studies.workers.Worker` without a process."""

    stopped = False

    def __init__(self, folder: Any = None, environ: Any = None):
        """Take the arguments of the original."""

    def run(self, call: str, values: dict) -> dict:
        """The answer of a function to values."""
        module, _, name = call.partition(":")
        try:
            return {"value": getattr(importlib.import_module(module), name)(**values)}
        except (BpfreeError, EnergyError) as error:
            return {"error": str(error), "code": 1}

    def stop(self) -> None:
        """Nothing runs while the caller does."""

    def close(self) -> None:
        """There is no process to end."""
