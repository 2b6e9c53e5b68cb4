"""Memory that a step has freed is there for the next one: the system clears no page twice."""

import platform
import subprocess
import sys

import pytest

STEPS = """
from resource import RUSAGE_SELF, getrusage
import torch
from bpfree.heap import keep_freed

def step():
    blocks = [torch.ones(2**22) for _ in range(6)]  # 16 MiB each

{first}
for _ in range(5):
    before = getrusage(RUSAGE_SELF).ru_minflt
    step()
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 6 * 2**24 // 4096


def faults(first: str) -> int:
    """Page faults of the fifth of five equal steps, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", STEPS.format(first=first)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a property of glibc's heap")
def test_a_step_asks_the_system_for_no_page_that_an_earlier_one_had():
    assert faults("keep_freed()") < PAGES / 100
    assert faults("") > PAGES / 10  # else there is nothing to mend
