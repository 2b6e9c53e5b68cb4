"""bpfree on a system that lacks Unix's own modules, or whose locale is ASCII."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small import digits

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [file for folder in ("bpfree", "energy", "examples") for file in sorted((ROOT / folder).rglob("*.py"))]
MODULES = ("fcntl", "resource", "pwd", "grp", "termios")
CALLS = ("fork", "forkpty", "statvfs", "getuid", "geteuid", "getgid", "getpgrp", "getpgid", "setsid", "setpgid")
CALLS += ("killpg", "sched_getaffinity", "getloadavg", "uname", "nice", "fchmod", "chown")
SIGNALS = ("SIGKILL", "SIGCHLD", "SIGHUP", "SIGUSR1", "SIGALRM", "alarm", "setitimer", "pthread_kill")
WITHOUT_UNIX = """
import importlib, multiprocessing, os, pkgutil, signal, sys
import codecarbon, matplotlib, optuna, scipy.stats, torch._dynamo  # they see that this is Linux, and call what it has

multiprocessing.get_all_start_methods = lambda: ["spawn"]
modules, calls, signals = (names.split() for names in sys.argv[3:])
for name in [name for name in sys.modules if name.partition(".")[0] == "filelock"]:
    del sys.modules[name]  # it has another way where there is no fcntl
for name in modules:
    sys.modules[name] = None
for module, names in ((os, calls), (signal, signals)):
    for name in set(names) & set(dir(module)):
        delattr(module, name)

import bpfree, energy

for package in (bpfree, energy):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
record = bpfree.train("mono-forward", f"npz:{sys.argv[1]}", hidden=[16], epochs=10, batch_size=20, threads=1,
                      device="cpu", meter="none", out=sys.argv[2])
print(record["status"], record["result"]["test"] > 0.3)
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}


def test_everything_imports_and_trains_without_the_modules_of_unix(tmp_path):
    """Ten digits, so 0.3 is three times what guessing reaches."""
    data, environ = digits(300, 1, 120, pool=4), {**os.environ, "PYTHONPATH": str(ROOT)}
    train, test = data.train, data.test
    np.savez(tmp_path / "digits.npz", x_train=train.x, y_train=train.y, x_test=test.x, y_test=test.y)
    names = [" ".join(names) for names in (MODULES, CALLS, SIGNALS)]
    command = [sys.executable, "-c", WITHOUT_UNIX, str(tmp_path / "digits.npz"), str(tmp_path / "run"), *names]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["finished", "True"]


@pytest.mark.parametrize("command", [["info", "mono-forward"], ["list"], ["doctor"]], ids=" ".join)
def test_command_works_where_the_locale_is_ascii(command):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **ASCII}
    done = subprocess.run([sys.executable, "-m", "bpfree", *command], capture_output=True, env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert len(done.stdout.splitlines()) > 5


def test_text_is_read_and_written_as_utf_8():
    """Ruff's PLW1514 sees only files whose type it can infer."""
    found = [f"{file.relative_to(ROOT)}:{line}" for file in SOURCES for line in _without_encoding(file)]
    assert found == []


def test_nothing_is_called_that_unix_alone_has():
    """Its modules may be imported, and its calls made, within a ``try`` that has another way."""
    found = []
    for file in SOURCES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        tried = {id(node) for block in ast.walk(tree) if isinstance(block, ast.Try) for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in tried:
                continue
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in CALLS:
                found.append(f"{file.relative_to(ROOT)}: os.{node.attr}")
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names} & set(MODULES)
                found += [f"{file.relative_to(ROOT)}: {name}" for name in names]
    assert found == []


def _without_encoding(file: Path) -> Iterator[int]:
    """Lines that read or write text in the encoding of the locale."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or "encoding" in (words := {word.arg for word in node.keywords}):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
        if (
            (name == "open" and (not node.args or modes & {"r", "w", "a", "x", "r+"}))
            or (name == "read_text" and not node.args)
            or (name == "write_text" and len(node.args) == 1)
            or (name in ("run", "Popen", "check_output") and "text" in words)
        ):
            yield node.lineno
