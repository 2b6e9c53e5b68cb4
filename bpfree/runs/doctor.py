"""Devices, energy meters, folders and versions of this machine, and why one is missing."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bpfree.runs import provenance, recipes
from bpfree.runs.meters import make_meter


def examine(meter: str = "auto") -> dict[str, Any]:
    """Devices, energy meters, folders and versions as plain JSON."""
    devices = {
        "cpu": f"{provenance.cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used by torch"
    }
    for i in range(torch.cuda.device_count()):
        devices[f"cuda:{i}"] = f"{torch.cuda.get_device_name(i)}, {_gib(torch.cuda.mem_get_info(i)[1])}"
    if not torch.cuda.is_available():
        built = "torch sees no GPU" if torch.version.cuda else "this torch is built for the CPU only"
        devices["cuda"] = f"not available: {built}"
    with make_meter(meter) as readable:
        meters = readable.describe()
    fp32, bf16 = (_gflops(dtype) for dtype in (torch.float32, torch.bfloat16))
    devices["cpu products"] = (
        f"{fp32:.3g} GFLOP/s in fp32, {bf16:.3g} in bf16{' (emulated: use fp32)' if bf16 < fp32 else ''}, one thread"
    )
    runs = Path("runs").resolve()
    return {
        "devices": devices,
        "meters": meters,
        "folders": {
            "runs": f"{runs} ({_writable(runs)})",
            "package": str(provenance.PACKAGE),
            "recipes": str(recipes.folder()),
        },
        "versions": {name: version or _missing(name) for name, version in provenance.versions().items()},
    }


def _gflops(dtype: torch.dtype) -> float:
    """Rate of matrix products of one training step's size on one CPU thread; the best of three."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a, b = torch.ones(128, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        torch.nn.functional.linear(a, b)
        times.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return 2 * a.numel() * b.shape[1] / min(times) / 1e9


def _missing(name: str) -> str:
    if name == "bpfree":
        return f"not installed: running from {provenance.PACKAGE}"
    return f"not installed: pip install {name} ({sys.executable})"


def _writable(path: Path) -> str:
    """Free space there, or the reason why nothing can be written."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return f"not writable: {existing} belongs to somebody else, choose another place with --out"
    return f"{_gib(shutil.disk_usage(existing).free)} free"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
