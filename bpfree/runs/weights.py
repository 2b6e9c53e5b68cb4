"""Weights of a run: read from its model file, and taken over by another run that begins with them."""

import hashlib
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.runs import record as records
from bpfree.training.run_folder import MODEL, RECORD
from bpfree.training.trainer import Trainer


def read_weights(path: Path, sha256: str | None) -> dict[str, Tensor]:
    """Read a model file.

    Args:
        path: of the file.
        sha256: that the record states; None: not checked.

    Returns:
        Tensors by name.

    Raises:
        InputError: the file is damaged, or not the one that was written.
    """
    try:
        content = path.read_bytes()
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{path} is not what was written: restore the file or train again")
        return safetensors.torch.load(content)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is damaged ({error}): restore the file or train again") from error


@torch.no_grad()
def start_from(run: Path, trainer: Trainer) -> dict[str, Any]:
    """Give a new net the weights of a trained one, wherever a tensor has the same name and shape.

    Args:
        run: folder of the trained one.
        trainer: rule with the new net, built; changed in place. A note says what was taken.

    Returns:
        For the record: ``folder``, ``model_sha256``, names ``taken`` and ``left``.

    Raises:
        InputError: no model there, or no tensor of the same name and shape.
    """
    if not (run / MODEL).is_file():
        raise InputError(f"{run} holds no model to begin with: give the folder of a run that has ended")
    sha256 = records.read(run / RECORD)["model_sha256"]
    there, here = read_weights(run / MODEL, sha256), trainer.state_dict()
    taken = [name for name, tensor in here.items() if name in there and there[name].shape == tensor.shape]
    left = [name for name in here if name not in taken]
    if not any(name.startswith("blocks.") for name in taken):
        raise InputError(f"no block of {run} has the shape of this net's: train the same net to begin with its weights")
    for name in taken:
        here[name].copy_(there[name])
    rest = f"; drawn anew: {', '.join(left)}" if left else ""
    trainer.notes.append(f"{len(taken)} of {len(here)} tensors begin as {run} left them{rest}")
    return {"folder": str(run), "model_sha256": sha256, "taken": taken, "left": left}
