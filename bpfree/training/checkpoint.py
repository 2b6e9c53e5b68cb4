"""Checkpoints: the whole state of a run as plain values and tensors, and back."""

import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.training.distributed import gathered, world
from bpfree.training.files import write_atomically

if TYPE_CHECKING:
    from bpfree.training.loop import Loop


@dataclass
class Cursor:
    """The place that a run has reached: ``batch`` batches of epoch ``epoch`` of phase ``phase`` are done.

    Attributes:
        phase, epoch, batch: the numbers of what comes next; ``epoch`` counts from the beginning of the phase.
        epochs: since the beginning of the run, over all phases.
        steps: batches since the beginning of the run.
        train_s: seconds spent on them.
    """

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    epochs: int = 0
    steps: int = 0
    train_s: float = 0.0

    def begin_pass_again(self) -> None:
        """Go back to the first batch of the epoch."""
        self.steps, self.batch = self.steps - self.batch, 0

    def end_epoch(self) -> None:
        """Go on to the next epoch of the phase."""
        self.epoch, self.epochs, self.batch = self.epoch + 1, self.epochs + 1, 0

    def end_phase(self) -> None:
        """Go on to the next phase."""
        self.phase, self.epoch = self.phase + 1, 0

    def state_dict(self) -> dict:
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in asdict(Cursor(**state)).items():
            setattr(self, name, value)


def state_of(loop: "Loop") -> dict:
    """All that a run needs to go on as if it had never stopped."""
    trainer = loop.trainer
    # Within an epoch, random state and running statistics differ between processes; no rank touches another's GPU.
    buffers = {name: buffer.cpu() for name, buffer in trainer.named_buffers()}
    return {
        "cursor": loop.cursor.state_dict(),
        "model": trainer.state_dict(),
        "owners": [owner.state_dict() for owner in loop.learner.owners.values()],
        "processes": gathered({"streams": trainer.streams.state_dict(), "buffers": buffers}),
        "external": [system.state_dict() for system in loop.external],
        "early": loop.early.state_dict(),
        "monitor": loop.monitor.state_dict(),
        "history": loop.history,
        "prefixes": loop.prefixes,
        "energy": loop.windows.meter.readings(),
    }


def restore(loop: "Loop", state: Mapping[str, Any]) -> None:
    """Bring a new loop to a saved state.

    Args:
        loop: of the same trainer, data and settings.
        state: as `state_of` gave it.

    Raises:
        InputError: the run had another number of processes.
    """
    rank, processes = world()
    if len(state["processes"]) != processes:
        raise InputError(f"this run had {len(state['processes'])} processes, not {processes}: resume it with as many")
    trainer, process = loop.trainer, state["processes"][rank]
    loop.cursor.load_state_dict(state["cursor"])
    loop.enter_phase(loop.phases[min(loop.cursor.phase, len(loop.phases) - 1)])
    trainer.load_state_dict(state["model"])
    for owner, saved in zip(loop.learner.owners.values(), state["owners"], strict=True):
        owner.load_state_dict(saved)
    trainer.load_state_dict(process["buffers"], strict=False)
    trainer.streams.load_state_dict(process["streams"])
    external = state["external"] if "external" in state else state["outside"]  # its name until 0.1
    for system, saved in zip(loop.external, external, strict=True):
        system.load_state_dict(saved)
    loop.early.load_state_dict(state["early"])
    loop.monitor.load_state_dict(state["monitor"])
    if trainer.phase.restart:
        loop.cursor.begin_pass_again()
        loop.monitor.keys.clear()  # nothing but this pass: an epoch ends with its summary
    loop.history, loop.prefixes = state["history"], state["prefixes"]


def unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state on the CPU, as safetensors takes them.

    No two share memory, also where the net has one of them under two names.
    """
    tensors, seen = {}, set()
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return tensors


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; a process that is killed meanwhile leaves the one that was there before.

    Args:
        path: of the file.
        state: as `state_of` gives it, or a part of it: plain values and tensors.

    Raises:
        RunFailed: it cannot be written.
    """
    write_atomically(path, lambda file: torch.save(state, file))


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
