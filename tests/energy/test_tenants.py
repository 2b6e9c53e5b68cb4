"""energy.sources.tenants: processes of the run are no co-tenants, whatever numbers they have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from energy.sources import tenants
from energy.sources.tenants import Run, uses_cuda

NOWHERE = 2**22 + 1  # above the highest number that Linux gives to a process
SLEEP = [sys.executable, "-c", "input()"]


@pytest.fixture
def stranger():
    """A process that this one did not make: the child of a shell that has ended."""
    shell = subprocess.run(
        ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE, text=True, check=True
    )
    pid = int(shell.stdout)
    yield pid
    os.kill(pid, 9)


def test_this_process_its_ancestors_and_descendants_are_of_the_run(stranger):
    """Such as the study that made the run, torchrun, and a worker."""
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as child:
        pids = [os.getpid(), os.getppid(), child.pid]
        assert Run().strangers([*pids, stranger]) == {stranger}
        child.communicate(b"\n")


def test_processes_that_train_together_are_of_the_run(stranger):
    assert Run([stranger]).strangers([os.getpid(), stranger]) == set()


@pytest.mark.parametrize(
    ("cuda", "listed", "strangers"),
    [
        ({"own"}, [NOWHERE], 0),  # a container that numbers processes anew
        ({"own"}, [NOWHERE, NOWHERE + 1], 1),
        ({"own", "parent"}, [NOWHERE, NOWHERE + 1], 0),
        (set(), [NOWHERE], 1),
        ({"own"}, ["own", NOWHERE], 1),  # it is listed under its own number, so the other is another's
    ],
)
def test_a_process_of_the_run_under_another_number_is_no_co_tenant(monkeypatch, cuda, listed, strangers):
    pids = {"own": os.getpid(), "parent": os.getppid()}
    monkeypatch.setattr(tenants, "uses_cuda", lambda pid: pid in {pids[name] for name in cuda})
    assert len(Run().strangers([pids.get(entry, entry) for entry in listed])) == strangers


def test_a_process_uses_cuda_when_it_holds_the_device_of_unified_memory(monkeypatch):
    """/dev/nvidia-uvm is opened with a CUDA context, and not by NVML; a process that has gone uses nothing."""
    assert not uses_cuda(os.getpid())
    assert not uses_cuda(NOWHERE)
    with Path(os.devnull).open(encoding="utf-8"):
        monkeypatch.setattr(tenants, "_CUDA", os.devnull)
        assert uses_cuda(os.getpid())
