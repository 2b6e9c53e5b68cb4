"""Memory that a step has freed stays with the process, for the next step."""

import platform
import subprocess
import sys

import pytest
import torch

from bpfree.training.device import reproducible

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
