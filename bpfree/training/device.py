"""Where a run computes, and what it does with the memory there."""

import ctypes
import platform

import torch

from bpfree.errors import InputError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h, in mallopt(3)
_LARGEST = 32 * 2**20  # bytes: glibc takes no larger block from the heap
_KEPT = 2**30  # bytes of free heap that stay


def pick_device(name: str) -> torch.device:
    """``auto`` or a device by name; an `InputError` if it is not there."""
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
    """On a GPU, fp32 is fp32 and one seed gives one result: no TF32, in which convolutions alone would be rounded by
    default, and cuDNN's deterministic kernels."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True


_lent: tuple[int, int] | None = None  # CPU threads before a run asked for its own number, and that number


def use_threads(wanted: int | None) -> None:
    """As many CPU threads as a run wants; None: as many as there were before another run asked for its own number."""
    global _lent
    if _lent and torch.get_num_threads() == _lent[1]:
        torch.set_num_threads(_lent[0])
    _lent = (torch.get_num_threads(), wanted) if wanted else None
    if wanted:
        torch.set_num_threads(wanted)


def keep_freed(device: torch.device) -> None:
    """On the CPU, what one block frees stays in the process for the next one, up to 1 GiB of it.

    By default glibc gives the free end of its heap back to the system as soon as it passes some tens of MiB, and the
    system clears every page of it again when it is asked for. Wide layers free as much at every ``yield``: thousands of
    pages a step, which costs little on a quiet machine and up to a tenth of the time on a busy one.
    """
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
