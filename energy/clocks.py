"""Clocks of the machine: time since it booted, the part of it that it slept, and the boot that both count from."""

import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
UNKNOWN_BOOT = "unknown"


def since_boot_s() -> float:
    """Seconds since the machine booted, with those for which it was suspended where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def suspended_s() -> float:
    """Seconds for which the machine has been suspended since it booted; 0 where the system does not count them.

    Linux's monotonic clock stands still in a suspend, the clock since the boot goes on. The two are read one after the
    other, so the least of three differences counts: a process that waits between two reads makes one difference larger.
    """
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    pairs = ((time.clock_gettime(time.CLOCK_MONOTONIC), since_boot_s()) for _ in range(3))
    return min(boot_s - awake_s for awake_s, boot_s in pairs)


def boot_id() -> str:
    """Identity of this boot of this machine; ``unknown`` where the system gives none."""
    try:
        return _BOOT_ID.read_text(encoding="utf-8").strip()
    except OSError:
        return UNKNOWN_BOOT
