"""bpfree: train neural networks without backpropagation.

    record = bpfree.train("mono-forward", "mnist", epochs=5)
    scores = bpfree.load(record["folder"]).predict(x)

Names are loaded when they are first used, so that ``import bpfree`` does not import torch.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from bpfree.config import moved
from bpfree.errors import BpfreeError, Diverged, EnergyError, InputError, RunFailed

# Waiting threads of torch's OpenMP pool sleep instead of spinning: on a busy machine spinning slows everybody down
# several times over, and it would count in every energy figure.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

moved.install()

if TYPE_CHECKING:
    from bpfree import data
    from bpfree.reports.report import report
    from bpfree.runs.model import Model, load
    from bpfree.runs.recipes import reproduce
    from bpfree.runs.train import train
    from bpfree.studies.compare import compare
    from bpfree.studies.tune import tune
    from bpfree.training.batch import Batch, Local, Phase
    from bpfree.training.callbacks import Callback
    from bpfree.training.trainer import RuleSettings, Trainer

__version__ = "0.2.0"

_HOME = {
    "Batch": "bpfree.training.batch",
    "Callback": "bpfree.training.callbacks",
    "Local": "bpfree.training.batch",
    "Model": "bpfree.runs.model",
    "Phase": "bpfree.training.batch",
    "RuleSettings": "bpfree.training.trainer",
    "Trainer": "bpfree.training.trainer",
    "compare": "bpfree.studies.compare",
    "load": "bpfree.runs.model",
    "report": "bpfree.reports.report",
    "reproduce": "bpfree.runs.recipes",
    "train": "bpfree.runs.train",
    "tune": "bpfree.studies.tune",
}

__all__ = [
    "Batch",
    "BpfreeError",
    "Callback",
    "Diverged",
    "EnergyError",
    "InputError",
    "Local",
    "Model",
    "Phase",
    "RuleSettings",
    "RunFailed",
    "Trainer",
    "compare",
    "data",
    "load",
    "report",
    "reproduce",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "data":
        return importlib.import_module("bpfree.data")
    if name not in _HOME:
        raise AttributeError(f"module 'bpfree' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
