"""bpfree.training.device: freed memory stays for the next step; the resident peak is known, or said not to be."""

import platform
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from bpfree.runs import provenance
from bpfree.training.device import reproducible, resident_peak

STEP = """
from pathlib import Path
import torch
from bpfree.training.device import keep_freed

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

{first}
before = resident_mib()
blocks = [torch.ones(2**22) for _ in range(6)]  # 16 MiB each
del blocks
print(resident_mib() - before)
"""


def kept_mib(first: str) -> float:
    """Resident memory that stays of six freed blocks, in a new process."""
    done = subprocess.run([sys.executable, "-c", STEP.format(first=first)], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a property of glibc's heap")
def test_freed_blocks_stay_for_the_next_step():
    assert kept_mib("keep_freed(torch.device('cpu'))") > 0.9 * 96
    assert kept_mib("") < 0.1 * 96  # else there is nothing to mend


def test_single_precision_on_a_gpu_is_single_precision():
    """Flags alone: there need be no GPU. By default convolutions, and only they, round their inputs to TF32."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic
    try:
        cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic = True, True, False
        reproducible(torch.device("cpu"))
        assert cudnn.allow_tf32
        reproducible(torch.device("cuda"))
        assert (cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic) == (False, False, True)
    finally:
        cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic = before


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system whose processes are in no files."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is the system's")
def test_resident_peak_without_proc_is_the_peak_of_the_process(no_proc: None):
    """An account of the kernel that is independent of /proc, in KiB."""
    peak, method = provenance.watch_memory(torch.device("cpu"))()
    assert method == "resident peak of the process"
    assert peak == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_resident_peak_on_windows_is_the_peak_of_the_working_set(no_proc: None, monkeypatch: pytest.MonkeyPatch):
    memory = SimpleNamespace(rss=1, peak_wset=7 * 2**20)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: memory))
    assert resident_peak() == 7 * 2**20


def test_memory_that_no_system_call_tells_is_unavailable(no_proc: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    peak, method = provenance.watch_memory(torch.device("cpu"))()
    assert peak is None
    assert method.startswith("unavailable")
