"""Hardware that a run computes on, over all its processes: what a meter has to read."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energy.clocks import UNKNOWN_BOOT, boot_id

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Hardware:
    """GPUs and processes of a run, as its first process sees them.

    Attributes:
        gpus: UUIDs of the GPUs on this machine that the run computes on; None: it is not known, all count.
        processes: PIDs of the run's processes on this machine.
        lacks: components that take part in the run, with the reason why a meter here cannot read them; "": it can,
            unless it is no meter for such a component.
    """

    gpus: Sequence[str] | None = ()
    processes: Sequence[int] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)


def hardware(device: "torch.device") -> Hardware:
    """Gather the hardware of a run from all its processes, each of which must call this.

    Args:
        device: on which this process computes.
    """
    from bpfree.training.distributed import gathered  # here, as bpfree list names the meters without torch

    host, boot = socket.gethostname(), boot_id()
    machine = host if boot == UNKNOWN_BOOT else boot
    everywhere = gathered((machine, host, os.getpid(), _uuid(device)))
    here = [(pid, uuid) for where, _, pid, uuid in everywhere if where == machine]
    far = "processes of the run on another machine, which this meter does not reach"
    lacks = {f"host {name}": far for where, name, *_ in everywhere if where != machine}
    if device.type != "cpu":
        lacks["gpu"] = ""
    gpus = list(dict.fromkeys(uuid for _, uuid in here if uuid))
    return Hardware(gpus, [pid for pid, _ in here], lacks)


def _uuid(device: "torch.device") -> str:
    """UUID of a GPU as NVML writes it; empty for anything else."""
    import torch

    return f"GPU-{torch.cuda.get_device_properties(device).uuid}" if device.type == "cuda" else ""
