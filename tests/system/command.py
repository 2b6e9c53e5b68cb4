"""Running the command line in a process of its own, and what tests expect of its errors."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = Path(__file__).parent / "rules"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
PLACE = tempfile.TemporaryDirectory()
DIGITS = Path(PLACE.name) / "digits.npz"  # 1,200 training and 400 test images of MNIST, made when the session begins
TINY = ("--data", f"npz:{DIGITS}", "--hidden", "32", "--epochs", "1", "--threads", "1", "--meter", "none")

Command = Callable[..., subprocess.CompletedProcess]


def start(*arguments: object, cwd: Path) -> subprocess.Popen:
    """``bpfree ARGUMENTS`` in a fresh process that goes on by itself."""
    command = [sys.executable, "-m", "bpfree", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def one_line(done: subprocess.CompletedProcess, code: int) -> str:
    """The error line of a command that must have failed with ``code`` and said nothing else."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
