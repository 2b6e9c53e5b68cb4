"""Co-tenants of a board: processes on it that do not belong to this run.

To a run belong this process, its ancestors (a launcher, a study that made the run) and descendants, and the processes
that train together with it. In a container NVML may count processes as the host does: a process of the run is then
listed under a number that is not its own here.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

_CUDA = "/dev/nvidia-uvm"  # a process that has begun to use CUDA holds it open; NVML alone does not


class Run:
    """The processes of a run on this machine.

    Args:
        processes: those that train together with this one; its ancestors and descendants need not be named.
    """

    def __init__(self, processes: Collection[int] = ()) -> None:
        self._named = {os.getpid(), *processes}
        self._ancestors: frozenset[int] | None = None

    def strangers(self, pids: Iterable[int]) -> set[int]:
        """Those of some processes on a board that are not of the run.

        Of the numbers that no process here has, as many are taken for processes of the run as use CUDA and are not
        listed under their own; which ones is not known, how many are left is.
        """
        listed = set(pids)
        if not listed - self._named:
            return set()
        if self._ancestors is None:
            self._ancestors = frozenset(_ancestors(os.getpid()))
        own = self._named | self._ancestors
        others = {pid for pid in listed - own if os.getpid() not in _ancestors(pid)}
        nowhere = sorted(pid for pid in others if not _is_here(pid))
        renumbered = sum(uses_cuda(pid) for pid in own - listed)
        return others - set(nowhere[:renumbered])


def _ancestors(pid: int) -> list[int]:
    import psutil  # here: only where a board has other processes

    try:
        return [process.pid for process in psutil.Process(pid).parents()]
    except psutil.Error:
        return []


def _is_here(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid)


def uses_cuda(pid: int) -> bool:
    """True for a process that holds a CUDA context; False also for one that does not show its files."""
    try:
        return any(os.readlink(file) == _CUDA for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
