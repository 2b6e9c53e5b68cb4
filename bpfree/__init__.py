"""bpfree: train neural networks without backpropagation.

    record = bpfree.train("mono-forward", "mnist", epochs=5)
    scores = bpfree.load(record["extra"]["folder"]).predict(x)

Names are loaded when they are first used, so that ``import bpfree`` does not import torch.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from bpfree.errors import BpfreeError, Diverged, InputError, RunFailed

# Waiting threads of torch's OpenMP pool sleep instead of spinning: on a busy machine spinning slows everybody down
# several times over, and it would count in every energy figure.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from bpfree.callbacks import Callback
    from bpfree.model import Model, load
    from bpfree.run import train
    from bpfree.trainer import Batch, Local, Phase, RuleSettings, Trainer

_HOME = {
    **dict.fromkeys(("Batch", "Local", "Phase", "RuleSettings", "Trainer"), "bpfree.trainer"),
    **{"train": "bpfree.run", "load": "bpfree.model", "Model": "bpfree.model", "Callback": "bpfree.callbacks"},
}

__all__ = [
    "Batch",
    "BpfreeError",
    "Callback",
    "Diverged",
    "InputError",
    "Local",
    "Model",
    "Phase",
    "RuleSettings",
    "RunFailed",
    "Trainer",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bpfree' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
