"""Provenance of a run, for its record: code, versions, device, memory, parameters, data and its normalisation."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bpfree.config.resolve import PACKAGE
from bpfree.data.inputs import input_of
from bpfree.runs.record import sha256_of as sha256_of
from bpfree.training.device import begin_resident_peak, resident_peak
from bpfree.training.external import External
from bpfree.training.random_streams import Streams, derive
from bpfree.training.trainer import Trainer
from energy.readings import lacking

if TYPE_CHECKING:
    from bpfree.training.data import Data
    from bpfree.training.loop import Loop

PICOJOULES = {"accumulates": 0.9, "multiply-accumulates": 4.6}  # of an addition; of a product and an addition
ROOMS = ("training", "config", "functional", "graphs", "nets", "data", "rules")  # whose code makes a result
PACKAGES = ("bpfree", "torch", "numpy", "torch-geometric", "spikingjelly", "codecarbon", "nvidia-ml-py")


def git() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from; ``dirty``: its tree differs; None for an installed package."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()


@functools.cache
def rooms_sha256() -> dict[str, str]:
    """SHA-256 of the code in each room of the package that a result depends on: two runs must share all of them."""
    digests = {}
    for room in ROOMS:
        digest = hashlib.sha256()
        for file in sorted((PACKAGE / room).rglob("*.py")):
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        digests[room] = digest.hexdigest()
    return digests


def versions() -> dict[str, str | None]:
    """Python and the packages that can change a number; None: not installed."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def device(used: torch.device) -> dict[str, Any]:
    """Type, name and driver of the device, and the boot of the machine that it is in."""
    if used.type != "cuda":
        return {"type": used.type, "name": cpu_name(), "boot": boot()}
    return {"type": "cuda", "name": torch.cuda.get_device_name(used), "driver": cuda_driver(), "boot": boot()}


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def boot() -> str | None:
    """Linux's name for the time since the machine was switched on: its containers share it, no two machines do."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return None


def cuda_driver() -> str | None:
    """Version of the NVIDIA driver, where Linux tells it."""
    with contextlib.suppress(OSError):
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip()
    return None


def energy(reading: Mapping[str, Any], things: Sequence[External]) -> dict[str, Any]:
    """Add to a window's reading that part of the work was done outside of this machine.

    Args:
        reading: of the meter.
        things: systems outside of the machine that the net uses; none: the reading stands as it is.
    """
    if any(thing.simulated for thing in things):
        return lacking(reading, "physical system", "simulated physics has no energy figure", void=True)
    if things:
        return lacking(reading, "physical system", "the meter does not reach the instrument")
    return dict(reading)


def seeds(seed: int, split_seed: int | None) -> dict[str, int]:
    """Seeds of everything random; order and augmentation derive theirs from ``run`` every epoch.

    Args:
        seed: of the run.
        split_seed: of the split into training and validation data; None: that of the run.
    """
    return {"run": seed, "init": derive(seed, "init"), "split": seed if split_seed is None else split_seed}


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over names and bytes of parameters and buffers: equal for two nets that begin alike."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def order_sha256(seed: int, rows: int, batch_size: int) -> str:
    """SHA-256 of the batches of the first epoch: equal for two runs that see the same rows in the same batches.

    Args:
        seed: of the run.
        rows: number of rows to train on.
        batch_size: rows of a batch.
    """
    order = torch.randperm(rows, generator=Streams(seed, torch.device("cpu")).fresh("order", 0))
    return hashlib.sha256(f"{batch_size}:".encode() + order.numpy().astype("<i8").tobytes()).hexdigest()


def watch_memory(used: torch.device) -> Callable[[], tuple[int | None, str]]:
    """Begin a new peak of memory.

    Returns:
        A function that gives the peak in bytes, and how it was measured; None where nothing measures it.
    """
    if used.type == "cuda":
        torch.cuda.reset_peak_memory_stats(used)
        return lambda: (torch.cuda.max_memory_allocated(used), "CUDA allocator peak")
    if begin_resident_peak():
        return lambda: (resident_peak(), "resident peak of the run")
    if resident_peak() is None:
        return lambda: (None, "unavailable: this system keeps no resident peak")
    return lambda: (resident_peak(), "resident peak of the process")


def data(loaded: "Data") -> dict[str, Any]:
    """Description of the data set, with all that a prediction needs of it."""
    spec = dataclasses.asdict(loaded.spec)
    rows = {part: len(source) for part in ("train", "val", "test") if (source := getattr(loaded, part)) is not None}
    return {**spec, "sha256": loaded.spec.sha256 or None, "rows": rows, "input": input_of(loaded)}


def operations(loop: "Loop") -> dict[str, Any] | None:
    """Operations of a prediction, mean over the test part, and their modelled energy; None: the rule counts none.

    Not a reading of any meter: it stands apart from the record's energy, and no other figure may be added to it.
    """
    source = loop.data.test
    if source is None or type(loop.trainer).operations is Trainer.operations:
        return None
    mean: dict[str, float] = {}
    for rows, counts in loop.evaluator.counted(source):
        for name, count in counts.items():
            mean[name] = mean.get(name, 0.0) + count * rows / len(source)
    picojoules = sum(mean.get(name, 0.0) * cost for name, cost in PICOJOULES.items())
    modelled = {
        "method": "modelled",
        "j_a_prediction": picojoules * 1e-12,
        "picojoules": PICOJOULES,
        "source": "Horowitz, ISSCC 2014: 45 nm, 32-bit floating point; memory and everything else is left out",
    }
    return {"a_prediction": mean, "energy": modelled}


def parameters(loop: "Loop") -> dict[str, int | None]:
    """Numbers of parameters that the rule trains in any phase, that the model file stores, that a prediction uses."""
    trainer, now = loop.trainer, loop.trainer.phase
    trained: dict[int, int] = {}
    for phase in loop.phases:
        trainer.phase = phase
        trained |= {id(p): p.numel() for params in trainer.owners().values() for p in params if p.requires_grad}
    trained |= {id(p): p.numel() for p in trainer.solved()}
    used = _used(loop)
    trainer.phase = now
    return {
        "trained": sum(trained.values()),
        "stored": sum(tensor.numel() for tensor in trainer.state_dict().values()),
        "inference": used,
    }


def _used(loop: "Loop") -> int | None:
    """Parameters that the scores depend on; None when they cannot be traced."""
    trainer = loop.trainer
    with contextlib.closing(loop.data.val.batches(1)) as batches:  # type: ignore[type-var]
        batch = next(batches)
    params = list(trainer.parameters())
    fixed = [p for p in params if not p.requires_grad]
    trainer.requires_grad_(True)
    with loop.evaluator.mode(), torch.enable_grad():
        scores = loop.evaluator.predict(dataclasses.replace(batch, x=batch.x.to(loop.device)))
        grads = torch.autograd.grad(scores.sum(), params, allow_unused=True) if scores.requires_grad else None
    for p in fixed:
        p.requires_grad_(False)
    if grads is None:
        return None
    return sum(p.numel() for p, grad in zip(params, grads, strict=True) if grad is not None)
