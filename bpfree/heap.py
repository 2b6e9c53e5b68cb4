"""The heap of a process that trains on the CPU: what one block frees, the next one takes.

By default glibc gives the free end of its heap back to the system as soon as it passes some tens of MiB, and the system
clears every page of it again when it is asked for. Wide layers free as much at every ``yield``: without this, a
twentieth of the time of a step in bfloat16 goes into pages (``tests/bench/throughput.py``).
"""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h, in mallopt(3)
_LARGEST = 32 * 2**20  # bytes: glibc takes no larger block from the heap
_KEPT = 2**30  # bytes of free heap that stay


def keep_freed() -> None:
    """Keep freed memory in this process, up to 1 GiB; nothing where the C library is not glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
