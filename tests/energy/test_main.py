"""python -m energy, as a user runs it."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from energy.__main__ import main

ROOT = Path(__file__).parents[2]
Done = collections.namedtuple("Done", "returncode stdout stderr")


@pytest.fixture
def energy(capfd, monkeypatch):
    """energy(arguments …): the exit code and what was printed, as ``python -m energy`` would in this process."""

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["energy", *arguments])
        code = main()
        return Done(code, *capfd.readouterr())

    return call


def test_it_runs_as_a_module():
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "energy", "run", "--backend", "none", "--", "sh", "-c", "exit 3"]
    assert subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False).returncode == 3


def test_it_shows_each_component_with_its_label_and_why_not_better(energy):
    done = energy()
    assert done.returncode == 0
    assert {"cpu", "ram"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_json_is_the_description_and_nothing_else(energy):
    found = json.loads(energy("--json", "--backend", "none").stdout)
    assert found["components"]["cpu"] | {"reason": "metering is off"} == found["components"]["cpu"]


def test_idle_power_of_the_fake_is_its_power(fake_nvml):
    """100 W over 1.01 s at a tick of 20 ms: within 2 %."""
    done = fake_nvml(["-m", "energy", "--json", "--backend", "nvml", "--idle-s", "1.01"], tick_ms=20)
    idle = json.loads(done.stdout)["idle"]
    assert idle["components"]["gpu0"]["power_w"] == pytest.approx(100, rel=0.021)
    assert idle["components"]["cpu"]["power_w"] is None


@pytest.mark.parametrize(("code", "expected"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143)])
def test_run_passes_the_exit_code_on(energy, code, expected):
    assert energy("run", "--backend", "none", "--", "sh", "-c", code).returncode == expected


def test_run_leaves_stdout_to_the_command_and_labels_its_result(energy):
    done = energy("run", "--backend", "none", "--", "echo", "--json")
    assert done.stdout == "--json\n"
    assert done.stderr.startswith("energy  unavailable in ")


def test_run_counts_the_cpu_time_of_the_command(energy):
    code = "import time\nwhile time.process_time() < 0.3: pass"
    found = json.loads(energy("run", "--backend", "none", "--json", "--", sys.executable, "-c", code).stdout)
    assert found["cpu_seconds"] >= 0.29


@pytest.mark.real_time
def test_run_aligned_to_ticks_errs_by_far_less_than_a_tick(fake_nvml):
    """100 W, ticks of 100 ms, a window of about 0.5 s: unaligned up to 20 %; aligned within the lag of the spin (20 ms
    on a busy machine, 4 %). The wait before and after is reported."""
    arguments = ["-m", "energy", "run", "--backend", "nvml", "--align", "--json", "--", "sleep", "0.45"]
    found = json.loads(fake_nvml(arguments, tick_ms=100).stdout)
    assert found["components"]["gpu0"]["energy_j"] == pytest.approx(100 * found["seconds"], rel=0.04)
    assert 0 < found["tail_s"] < 0.3
    assert found["aligned"] is True


def test_run_gives_a_derived_co2e_with_its_origin(fake_nvml):
    arguments = ["-m", "energy", "run", "--backend", "nvml", "--json", "--co2", "FRA", "--", "sleep", "0.1"]
    found = json.loads(fake_nvml(arguments, tick_ms=20).stdout)
    assert found["co2e"]["method"] == "derived"
    assert found["co2e"]["country"] == "FRA"
    assert found["co2e"]["kg"] == pytest.approx(found["total_j"] / 3.6e6 * found["co2e"]["g_per_kwh"] / 1000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "Missing argument"),
        (["run", "--backend", "none", "--", "no-such-command"], "cannot run no-such-command: No such file"),
        (["run", "--aling", "--", "true"], "No such option"),
        (["run", "--co2", "Frnace", "--", "true"], "FRA (France)"),
        (["--backend", "rpal"], "did you mean rapl"),
        (["frob"], "No such command"),
    ],
)
def test_bad_input_is_answered_in_one_line_with_exit_code_2(energy, arguments, words):
    done = energy(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
