"""energy.sources.codecarbon: the model's integral, and what CodeCarbon must not do."""

import json
import subprocess
import sys

import pytest

from energy.sources.codecarbon import FixedPower, LoadModel


class Machine:
    """A virtual 2-thread machine: busy for ``busy`` of every 40 ms; watts by CodeCarbon's formula for its mean load
    since the last question."""

    def __init__(self, busy: float, tdp_w: float = 8.0) -> None:
        self.now_s, self.asked_s, self.busy, self.tdp_w = 0.0, 0.0, busy, tdp_w
        self.W = 0.0

    def start(self) -> None:
        self.asked_s = self.now_s

    def busy_s(self, time_s: float) -> float:
        whole, rest = divmod(time_s, 0.04)
        return whole * 0.04 * self.busy + min(rest, 0.04 * self.busy)

    def total_power(self) -> "Machine":
        load = (self.busy_s(self.now_s) - self.busy_s(self.asked_s)) / max(self.now_s - self.asked_s, 1e-9)
        self.asked_s, self.W = self.now_s, self.tdp_w * (0.1 + 0.9 * load**3)
        return self

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize("busy", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("step_s", [0.007, 0.02, 0.31, 1.0])
def test_short_windows_cost_what_long_ones_do(busy, step_s):
    """P = TDP (0.1 + 0.9 load^3) of the load over a second. A load taken over 20 ms would be 0 or 1, and its cube up to
    2.6 times too much at half load. Over a second the load of this machine is known to 40 ms, i.e. within 4 %."""
    machine = Machine(busy)
    model = LoadModel(machine, "test", machine.clock, machine.sleep)
    start, start_s = model.read().joules, machine.now_s
    while machine.now_s < 60:
        machine.sleep(step_s)
        model.read()
    mean_w = (model.read().joules - start) / (machine.now_s - start_s)
    low, high = (8.0 * (0.1 + 0.9 * min(max(load, 0), 1) ** 3) for load in (busy - 0.04, busy + 0.04))
    assert low - 1e-9 <= mean_w <= high + 1e-9


def test_the_first_second_is_not_booked_at_near_zero():
    """A machine at full load from before the start: 8 W from the first edge on."""
    machine = Machine(1.0)
    model = LoadModel(machine, "test", machine.clock, machine.sleep)
    start = model.read().joules
    machine.sleep(0.3)
    assert model.read().joules - start == pytest.approx(8.0 * 0.3)


def test_fixed_power_is_watts_times_seconds():
    machine = Machine(0.0)
    ram = FixedPower("ram", 20.0, "test", "test", machine.clock)
    start = ram.read().joules
    machine.sleep(2.5)
    assert ram.read().joules - start == pytest.approx(50.0)


REAL = """
import json, socket, sys, threading, time
def refuse(*args, **kwargs): raise AssertionError("a connection was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import logging
from energy import Meter
before = set(threading.enumerate())
meter = Meter("codecarbon")
cpu = next(source for source in meter._sources if source.name == "cpu")
threads = len(set(threading.enumerate()) - before)
meter.enter("train")
time.sleep(1.5)
meter.close()
cpu._power._cpu_load_meter.percent = lambda: 50.0
print(json.dumps({"readings": meter.readings(), "describe": meter.describe(), "threads": threads,
                  "half_load_w": cpu._power.total_power().W, "tdp_w": cpu._power._tdp}))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """One metered sleep with the real CodeCarbon in an empty folder: its output and what it left there."""
    folder = tmp_path_factory.mktemp("codecarbon")
    (folder / "run.py").write_text(REAL)
    root = __import__("pathlib").Path(__file__).parents[2]
    environ = {**__import__("os").environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr, sorted(path.name for path in folder.iterdir())


def test_codecarbon_prints_nothing_writes_nothing_and_connects_nowhere(real):
    _, stderr, files = real
    assert stderr == ""
    assert files == ["run.py"]


def test_codecarbon_starts_no_thread_of_its_own(real):
    """One thread: the meter's own."""
    assert real[0]["threads"] == 1


def test_cpu_is_modelled_and_ram_is_a_constant_and_the_total_says_constant(real):
    train = real[0]["readings"]["train"]
    if "cpu_load" not in train["components"]["cpu"]["source"]:
        pytest.skip("CodeCarbon does not model this machine's CPU by load")
    assert train["components"]["cpu"]["method"] == "modelled"
    assert train["components"]["ram"]["method"] == train["method"] == "constant"


def test_cpu_energy_lies_between_idle_and_full_power_of_the_model(real):
    found, part = real[0], real[0]["readings"]["train"]["components"]["cpu"]
    seconds = found["readings"]["train"]["seconds"]
    assert 0.1 * found["tdp_w"] * seconds * 0.99 <= part["energy_j"] <= found["tdp_w"] * seconds * 1.01


def test_codecarbons_watts_follow_the_formula_of_the_notes(real):
    assert real[0]["half_load_w"] == pytest.approx(real[0]["tdp_w"] * (0.1 + 0.9 * 0.5**3))


def test_ram_energy_is_its_watts_times_the_window(real):
    train, described = real[0]["readings"]["train"], real[0]["describe"]["components"]["ram"]
    assert train["components"]["ram"]["energy_j"] == pytest.approx(described["power_w"] * train["seconds"], rel=1e-3)


def test_the_models_start_is_outside_the_windows_and_reported(real):
    found = real[0]
    assert found["describe"]["start_s"] >= found["describe"]["model_start_s"] > 0
    assert found["readings"]["train"]["seconds"] == pytest.approx(1.5, abs=0.3)
