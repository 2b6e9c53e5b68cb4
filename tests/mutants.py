"""Planted faults: each changes one place of the source, and the tests named beside it must fail.

    python tests/mutants.py [NAME …]       all of them, or some; exit code 1 if one survives
    pytest tests/test_mutants.py           the same as part of the suite

A fault is a substitution that must match exactly once, so that a change of the source which makes it vacuous fails
loudly. It is planted in a copy of the package; the tests then run against that copy, in a fork of a process that has
torch imported but not bpfree. Only failing tests count: an error on collection does not. The faults themselves are in
``planted/``; every rule has each of the kinds below, or ``NOT_APPLICABLE`` says why not.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
from planted import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 450

SHARED = {  # faults that sit in code that every rule runs through
    "forgotten clearing": "loop: forgotten clearing of gradients",
    "test data in validation": "loop: test data in validation",
    "training mode at test": "loop: training mode at test",
    "state not saved": "loop: optimizer state not restored",
}
OWN = ("sign flip", "missing detach", "positive and negative swapped", "off-by-one label", "wrong owner")
_GREEDY = "a layer's input is computed by the loop, without gradients"
NOT_APPLICABLE = {
    ("counter-current", "positive and negative swapped"): "it has no negatives",
    ("forward-gnn", "missing detach"): _GREEDY,
    ("forward-gnn-ff-la", "missing detach"): _GREEDY,
    ("forward-gnn-ff-vn", "missing detach"): _GREEDY,
    ("forward-gnn", "positive and negative swapped"): "it has one stream",
    ("forward-gnn-top-to-input", "positive and negative swapped"): "it has one stream",
    ("forward-gnn-top-to-loss", "positive and negative swapped"): "it has one stream",
    ("delay-snn", "missing detach"): "nothing is detached in it but the reset, see spiking",
    ("delay-snn", "positive and negative swapped"): "it has one stream",
    ("delay-snn-local", "positive and negative swapped"): "it has one stream",
    ("backprop", "missing detach"): "nothing is detached in it",
    ("backprop", "positive and negative swapped"): "it has one stream",
    ("dfa", "positive and negative swapped"): "it has one stream",
    ("fa", "positive and negative swapped"): "it has one stream",
    ("fa", "wrong owner"): "it has one owner, backpropagation's",
    ("gradient-noise", "missing detach"): "nothing is detached in it",
    ("gradient-noise", "positive and negative swapped"): "it has one stream",
    ("gradient-noise", "wrong owner"): "it has one owner, backpropagation's",
    ("cafo", "positive and negative swapped"): "it has one stream",
    ("mono-forward", "positive and negative swapped"): "it has one stream",
    **{
        ("reservoir", fault): "it solves for its readout, without gradients"
        for fault in ("missing detach", "wrong owner")
    },
    ("reservoir", "positive and negative swapped"): "it has one stream",
    ("reservoir", "forgotten clearing"): "it has no gradients",
    ("reservoir", "state not saved"): "it has no optimizer, and begins a pass again",
    ("local-loss", "positive and negative swapped"): "it has one stream",
    ("channel-ff", "positive and negative swapped"): "it has one stream",
    ("random-features", "positive and negative swapped"): "it has one stream",
    ("random-features", "missing detach"): "the loop computes its features, and gives them to it without a graph",
}


def rules() -> list[str]:
    """Rules in the package, by file name: nothing of bpfree is imported here."""
    files = (ROOT / "bpfree" / "rules").glob("*.py")
    return sorted(path.stem.replace("_", "-") for path in files if not path.name.startswith("_"))


def missing_cells() -> list[tuple[str, str]]:
    """Rules and faults without a mutant and without a reason."""
    shared = [(rule, fault) for rule in rules() for fault, name in SHARED.items() if rule not in MUTANTS[name].rules]
    of_a_rule = [(rule, fault) for rule in rules() for fault in OWN if f"{rule}: {fault}" not in MUTANTS]
    return [cell for cell in shared + of_a_rule if cell not in NOT_APPLICABLE]


def plant(mutant: Mutant | None, where: Path) -> None:
    """A copy of the package in ``where``, with the fault.

    Raises:
        ValueError: the place does not exist exactly once, so the fault would change nothing or too much.
    """
    ignore = shutil.ignore_patterns("__pycache__", "*.npz")
    for package in ("bpfree", "energy"):
        shutil.copytree(ROOT / package, where / package, ignore=ignore)
    for data in (ROOT / "bpfree").rglob("*.npz"):
        (where / data.relative_to(ROOT)).symlink_to(data)
    if mutant is None:
        return
    path = where / "bpfree" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1 or mutant.old == mutant.new:
        raise ValueError(f"{mutant.file} has {text.count(mutant.old)} of {mutant.old!r}: not applicable, write it anew")
    path.write_text(text.replace(mutant.old, mutant.new))


def run_tests(overlay: str, tests: Sequence[str], log: str, result) -> None:
    """In a process of its own: the tests against the copy; sends (exit code, ids of failed tests)."""
    sys.dont_write_bytecode = True
    for variable in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[variable]
    os.environ["PYTHONPATH"] = overlay
    sys.path.insert(0, overlay)
    os.chdir(ROOT)
    import pytest

    failed: list[str] = []

    class Reports:
        def pytest_runtest_logreport(self, report) -> None:
            if report.failed:
                failed.append(report.nodeid)

    with open(log, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        code = pytest.main([*options, *(f"{ROOT}/tests/{test}" for test in tests)], plugins=[Reports()])
    import bpfree

    assert bpfree.__path__[0].startswith(overlay)
    result.send((int(code), failed))


def attempt(mutant: Mutant | None, tests: Sequence[str]) -> tuple[int, list[str], str]:
    """Exit code of pytest, failed tests and the log of one mutant, or of the package as it is."""
    context = forked.context()
    with tempfile.TemporaryDirectory() as folder:
        plant(mutant, Path(folder))
        log = Path(folder) / "log"
        receive, send = context.Pipe(duplex=False)
        tests = [test.removesuffix("::") for test in tests]
        process = context.Process(target=run_tests, args=(folder, tests, str(log), send))
        process.start()
        send.close()
        try:
            code, failed = receive.recv() if receive.poll(TIMEOUT_S) else (-1, [])
        except EOFError:
            code, failed = -2, []
        process.kill()
        process.join()
        return code, failed, log.read_text() if log.exists() else ""


def survivors(name: str) -> str:
    """The reason why the mutant called ``name`` counts as not caught; empty when it is caught."""
    mutant = MUTANTS[name]
    code, failed, log = attempt(mutant, mutant.tests)
    if code != 1:
        return f"{name}: pytest ended with {code}, not with failed tests\n{log[-3000:]}"
    missed = [rule for rule in mutant.rules if not any(_is_of(node, rule) for node in failed)]
    return f"{name}: not noticed for {', '.join(missed)}\n{log[-3000:]}" if missed else ""


def _is_of(node: str, rule: str) -> bool:
    """True for a node id such as ``…[mono-forward, joint-within an epoch]`` is of a row of ``rule``."""
    row = node.partition("[")[2]
    return row.startswith(rule) and row[len(rule) : len(rule) + 1] in (",", "-", "]")


def clean_tests() -> list[str]:
    """Every test that some mutant relies on, once."""
    return sorted({test for mutant in MUTANTS.values() for test in mutant.tests})


def main(names: Sequence[str]) -> int:
    with ThreadPoolExecutor(2) as pool:
        reasons = list(pool.map(survivors, names or MUTANTS))
    for name, why in zip(names or MUTANTS, reasons, strict=True):
        print(f"{'SURVIVED' if why else 'caught':9} {name}")
    for why in filter(None, reasons):
        print("\n" + why)
    for cell, reason in NOT_APPLICABLE.items():
        print(f"{'n/a':9} {': '.join(cell)} ({reason})")
    print(f"{sum(not why for why in reasons)} of {len(reasons)} caught")
    return int(any(reasons) or bool(missing_cells()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a fault  [default: all]")
    wanted = parser.parse_args().names
    if wrong := [name for name in wanted if name not in MUTANTS]:
        parser.error(f"no fault is called {wrong[0]!r}: choose from {', '.join(MUTANTS)}")
    sys.exit(main(wanted))
