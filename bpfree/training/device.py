"""The device that a run computes on, and the memory of its process."""

import contextlib
import ctypes
import platform
from pathlib import Path

import psutil
import torch

from bpfree.errors import InputError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h, in mallopt(3)
_LARGEST = 32 * 2**20  # bytes: glibc takes no larger block from the heap
_KEPT = 2**30  # bytes of free heap that stay


def pick_device(name: str) -> torch.device:
    """The torch device ``auto``, or one by name. Raises `InputError` when it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        cuda = torch.cuda.device_count()
        raise InputError(f"device {name!r} is not available here: choose from cpu{', cuda' if cuda else ''}") from None
    return device


def reproducible(device: torch.device) -> None:
    """Make one seed give one result on a GPU, and fp32 be fp32.

    By cuDNN's deterministic kernels, and without TF32, to which convolutions alone would be rounded by default.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True


_lent: tuple[int, int] | None = None  # CPU threads before a run set their number, and that number


def use_threads(number: int | None) -> None:
    """Set the number of CPU threads; None: as many as there were before another run set it."""
    global _lent
    if _lent and torch.get_num_threads() == _lent[1]:
        torch.set_num_threads(_lent[0])
    _lent = (torch.get_num_threads(), number) if number else None
    if number:
        torch.set_num_threads(number)


def keep_freed(device: torch.device) -> None:
    """Keep up to 1 GiB of the memory that one block frees in the process, for the next block; on the CPU alone.

    By default glibc gives the free end of its heap back to the system as soon as it passes some tens of MiB, and the
    system clears every page of it again when it is asked for. Wide layers free as much at every ``yield``: thousands of
    pages a step, which costs little on a quiet machine and up to a tenth of the time on a busy one.
    """
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)


def begin_resident_peak() -> bool:
    """Begin a new peak of this process's resident memory; False where that cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # a new VmHWM: proc_pid_clear_refs(5)
    except OSError:
        return False
    return resident_peak() is not None


def resident_peak() -> int | None:
    """Highest resident memory of this process so far, in bytes; None where the system keeps no account of it."""
    with contextlib.suppress(OSError, KeyError):  # Linux
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        kib, _ = dict(line.split(":", 1) for line in lines)["VmHWM"].split()
        return int(kib) * 1024
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
