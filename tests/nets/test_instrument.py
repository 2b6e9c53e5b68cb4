"""The user's own instrument: a function or a process, what it may do wrong, and what is made of it."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small import loop_of, make, tiny
from small_instrument import answer

import bpfree
from bpfree import nets
from bpfree.errors import InputError, RunFailed
from bpfree.training.data import Spec

BENCH = Path(__file__).with_name("small_instrument.py")
SPEC = Spec("numbers", (6,), 3, None, "classification", "accuracy", True, "", "")
VALUES = {"net": "instrument", "bypass": "none", "hidden": (12, 12), "outputs": 12, "epochs": 2, "batch_size": 8}


def command(*arguments: object) -> str:
    return " ".join(map(str, [sys.executable, BENCH, *arguments]))


def system_of(instrument: str, **values):
    build, settings = nets.net("instrument")
    chosen = settings(**{"instrument": instrument, "hidden": (6,), "bypass": "none", "outputs": 4, **values})
    return build(SPEC, chosen, hidden_only=True)[0].external


def inputs(rows: int = 5) -> torch.Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(0))


def expected(x: torch.Tensor) -> np.ndarray:
    """|M x| of rows scaled to a largest value of 1; values pass through single precision."""
    return np.array(answer((x / x.abs().amax(1, keepdim=True)).tolist(), 4))


@pytest.fixture
def function(tmp_path: Path) -> str:
    """An instrument that is a Python function."""
    (tmp_path / "own.py").write_text(
        f"import sys\nimport numpy as np\nsys.path.insert(0, {str(BENCH.parent)!r})\n"
        "from small_instrument import answer\n"
        "def measure(x):\n    return np.array(answer(x, 4))\n"
        "def breaks(x):\n    raise RuntimeError('no light')\n"
        "def quits(x):\n    raise SystemExit(3)\n"
    )
    return str(tmp_path / "own.py")


def test_a_function_is_measured(function: str):
    np.testing.assert_allclose(system_of(f"{function}:measure").measure(inputs()), expected(inputs()), rtol=1e-5)


def test_a_process_is_measured_and_kept_running():
    system = system_of(command(4))
    np.testing.assert_allclose(system.measure(inputs()), expected(inputs()), rtol=1e-5)
    pid = system.process.pid
    system.measure(inputs(2))
    assert system.process.pid == pid


def test_long_questions_pass_through_the_pipe():
    """3,000 rows: more than a pipe holds, there and back."""
    x = inputs(3000)
    np.testing.assert_allclose(system_of(command(4)).measure(x), expected(x), rtol=1e-5)


FAULTS = {
    "short": r"its answer has shape \(5, 3\), not \(5, 4\)",
    "nan": "its answer holds NaN or infinity",
    "constant": "its answer is constant: the same for different inputs",
    "words": "its answer is not an array of numbers",
    "dies": "it ended",
    "sleeps": "no answer within 0.5 s",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_instrument_that_fails_ends_in_one_line(fault: str):
    system = system_of(command(4, fault), retries=0, timeout_s=0.5 if fault == "sleeps" else 20)
    with pytest.raises(
        InputError, match=f"^the instrument gave no valid answer in 1 attempts; the last error: {FAULTS[fault]}$"
    ):
        system.measure(inputs())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_measurement_is_repeated_and_counted(fault: str, tmp_path: Path):
    system = system_of(command(4, fault, 1, tmp_path / "flag"), timeout_s=0.5 if fault == "sleeps" else 20)
    np.testing.assert_allclose(system.measure(inputs(), "train"), expected(inputs()), rtol=1e-5)
    report = system.report()
    assert (report["physical_calls"]["train"], report["repeated_calls"]) == (5, 5)


def test_equal_inputs_may_have_equal_answers():
    x = inputs(1).expand(4, -1)
    np.testing.assert_allclose(system_of(command(4)).measure(x), expected(x), rtol=1e-5)


def test_a_recording_replays_without_the_instrument(tmp_path: Path):
    tape = tmp_path / "tape.jsonl"
    first = system_of(command(4), tape=str(tape)).measure(inputs())
    assert len(tape.read_text().splitlines()) == 1
    again = system_of("", replay=str(tape))
    assert again.measure(inputs()).equal(first)
    with pytest.raises(InputError, match="holds no answer for these inputs"):
        again.measure(inputs(2))


WRONG = {
    "give one of instrument": {},
    "cannot start the instrument": {"instrument": "no-such-program"},
    "is not a command": {"instrument": "python 'open"},
    "does not exist: give FILE.py:function": {"instrument": "nowhere.py:measure"},
    "cannot replay nowhere.jsonl": {"replay": "nowhere.jsonl"},
    "drift and hit apply to simulated systems": {"instrument": "x", "drift": 0.1},
    "no gradient that an oracle could use": {"instrument": "x", "route": "oracle"},
}


@pytest.mark.parametrize("message", WRONG)
def test_impossible_settings_are_refused(message: str):
    with pytest.raises(InputError, match=message):
        system_of(WRONG[message].pop("instrument", ""), **WRONG[message]).measure(inputs())


def test_a_function_that_is_not_there_or_raises_says_so(function: str):
    with pytest.raises(InputError, match="has no function 'measures'"):
        system_of(f"{function}:measures")
    with pytest.raises(InputError, match="breaks raised RuntimeError: no light"):
        system_of(f"{function}:breaks", retries=0).measure(inputs())
    with pytest.raises(InputError, match="quits raised SystemExit: 3"):
        system_of(f"{function}:quits", retries=0).measure(inputs())


def test_a_command_may_end_in_a_python_file(tmp_path: Path):
    (tmp_path / "bench.py").write_text("for line in open(0): print(line, end='', flush=True)")
    with pytest.raises(InputError, match="not a line of JSON with y"):  # it was started, and echoes the question
        system_of(f"{sys.executable} {tmp_path / 'bench.py'}", retries=0).measure(inputs())


class Killer:
    """Kill the instrument's process with SIGKILL before some batches."""

    def __init__(self, batches: set[int]):
        self.batches, self.killed = batches, 0

    def on_batch(self, loop) -> None:
        if loop.cursor.steps in self.batches:
            os.kill(loop.external[0].process.pid, signal.SIGKILL)
            self.killed += 1


def test_training_goes_on_when_the_instrument_is_killed(tmp_path: Path):
    """Nothing is lost: the same weights and predictions, each repeated question accounted for."""
    killer, loops = Killer({2, 3, 5}), []
    for callbacks in ([], [killer]):
        loop = loop_of(make("physical-ff", instrument=command(12), **VALUES), tiny(), callbacks=callbacks)
        loop.run()
        loops.append((loop.trainer.state_dict(), loop.scores(loop.data.test)[0], loop.external[0].report()))
    (weights, scores, calm), (others, again, killed) = loops
    assert killer.killed == 3
    assert all(weights[name].equal(others[name]) for name in weights)
    assert scores.equal(again)
    assert calm["physical_calls"] == killed["physical_calls"]
    assert calm["repeated_calls"] == 0
    assert killed["repeated_calls"] > 0


def test_the_record_of_an_instrument_has_its_calls_but_not_its_energy(tmp_path: Path):
    record = bpfree.train(
        "physical-ff", tiny(), instrument=command(12), out=tmp_path / "run", meter="none", device="cpu", **VALUES
    )
    (report,) = record["external_systems"]
    assert report["system"] == "instrument"
    assert report["physical_calls"]["train"] == 2 * 2 * 22 * 2
    part = record["energy"]["train"]["components"]["physical system"]
    assert (part["energy_j"], part["reason"]) == (None, "the meter does not reach the instrument")
    x = next(tiny().test.batches(16)).x
    assert bpfree.load(tmp_path / "run").predict(x).shape == (16, 10)


def test_simulated_physics_has_no_energy_figure(tmp_path: Path, capsys):
    """No energy is recorded or printed, although the meter reads the machine that simulates."""
    from bpfree.cli.output import closing

    values = {"net": "optics", "bypass": "none", "hidden": (12,), "epochs": 1, "batch_size": 8}
    record = bpfree.train("physical-ff", tiny(), out=tmp_path / "run", meter="codecarbon", device="cpu", **values)
    for reading in record["energy"].values():
        assert (reading["total_j"], reading["method"], reading["includes"]) == (None, "unavailable", [])
        assert {part["energy_j"] for part in reading["components"].values()} == {None}
        assert {part["reason"] for part in reading["components"].values()} == {"simulated physics has no energy figure"}
    closing.print_run(record)
    printed = capsys.readouterr().out
    assert "unavailable: simulated physics has no energy figure" in printed
    assert " J" not in printed
    assert "optics: physical calls" in printed
    assert "optics: digital multiply-adds" in printed
    assert json.loads((tmp_path / "run" / "run.json").read_text())["energy"] == record["energy"]


def test_a_tape_that_cannot_be_written_is_named(function: str, tmp_path: Path):
    system = system_of(f"{function}:measure", tape=str(tmp_path / "no folder" / "tape.jsonl"))
    with pytest.raises(RunFailed, match=r"could not write the tape .*tape\.jsonl: No such file or directory"):
        system.measure(inputs())
