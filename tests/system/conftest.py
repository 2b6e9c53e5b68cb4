"""The command line as a user runs it: in a process of its own, judged by exit code, output and files."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import DIGITS, ENVIRONMENT, Command, start

from bpfree.data.images.mnist import FILE


@pytest.fixture(scope="session", autouse=True)
def digits() -> None:
    """A small part of the real MNIST, so that a run takes a moment."""
    with np.load(FILE) as full:
        rows = {name: full[name][: 1200 if "train" in name else 400] for name in full.files}
    np.savez(DIGITS, **rows)


@pytest.fixture(scope="session")
def fresh() -> Command:
    """Run ``bpfree ARGUMENTS`` in a fresh process."""

    def call(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
        process = start(*arguments, cwd=cwd)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return call


@pytest.fixture(scope="session")
def bpfree() -> Iterator[Command]:
    """Run ``bpfree ARGUMENTS`` in a process forked from one that has imported torch: the same, but sooner."""
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("zygote.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert server.stdin
    assert server.stdout
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")

        def call(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
            words = list(map(str, arguments))
            job = {"arguments": words, "cwd": str(cwd), "stdout": str(out), "stderr": str(err)}
            server.stdin.write(json.dumps(job) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            return subprocess.CompletedProcess(
                words, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
            )

        yield call
    server.stdin.close()
    server.wait(timeout=20)
