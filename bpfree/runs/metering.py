"""The meter of a run."""

from collections.abc import Callable
from typing import Any

import torch

from bpfree.training.distributed import world
from energy import EnergyError, Meter


def meter_for(backend: str, device: torch.device, sync: Callable[[], object] | None, earlier: Any) -> Meter:
    """A meter that counts no GPU but those of the run.

    Args:
        backend: ``auto``, or one of `energy.Meter`.
        device: that the run computes on.
        sync: waits for the device; None: nothing to wait for.
        earlier: readings of the run before it was resumed.

    Raises:
        EnergyError: the named backend does not work here.
    """
    try:
        return Meter(backend, sync, earlier, gpus=gpus(device))
    except EnergyError:
        if backend != "auto":
            raise
        return Meter(backend, sync, earlier)  # NVML is not there, or does not know this GPU: the record says so


def gpus(device: torch.device) -> list[str] | None:
    """UUIDs of the GPUs that the run computes on; None, all visible ones, when it is spread over several."""
    if device.type != "cuda":
        return []
    return None if world()[1] > 1 else [f"GPU-{torch.cuda.get_device_properties(device).uuid}"]
