"""tests/bench/gpu_meters.py, which needs a GPU, on the fake library: its judgement, and its way through all phases."""

import importlib.util
import json
from pathlib import Path

import pytest

from energy.readings import compose

SCRIPT = Path(__file__).parents[1] / "bench" / "gpu_meters.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_meters", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reading(seconds: float, joules: float | None, reason: str = "") -> dict:
    part = {"energy_j": joules, "method": "measured:counter" if joules else "unavailable", "tick_ms": 100.0}
    part |= {"highest_w": 300.0, "reason": reason, "fake": True}
    return compose(seconds, seconds, 2, {"gpu0": part}, None)


def test_windows_are_judged_by_the_mean_power_of_their_phase(script):
    """100 W; a tick is worth 30 J at most. 155 J where 100 J are true is outside; 125 J is not."""
    good = script.judged(
        "idle", [reading(1.0, 100.0)] * 8 + [reading(1.0, 125.0), reading(1.0, 75.0)], reading(10, 990.0)
    )
    assert (good["outside"], good["void"], good["windows"]) == (0, 0, 10)
    assert (good["counter_w"], good["sampled_w"]) == (pytest.approx(100.0), pytest.approx(99.0))
    # 25 J off; allowed are the 30 J of the window's edges and, over 10 s, 3 % of 100 J for those of the phase
    assert good["largest_share"] == pytest.approx(25 / 33)
    bad = script.judged(
        "idle", [reading(1.0, 100.0)] * 8 + [reading(1.0, 155.0), reading(1.0, 45.0)], reading(10, 990.0)
    )
    assert bad["outside"] == 2


def test_a_void_window_is_no_success(script):
    row = script.judged("idle", [reading(1.0, 100.0), reading(1.0, None, "the GPU is lost")], reading(2, 200.0))
    assert (row["outside"], row["void"], row["reasons"]) == (None, 1, ["the GPU is lost"])
    assert not script._hold([row])


@pytest.mark.real_time
def test_all_phases_on_the_fake_library(fake_nvml):
    """100 W by counter and by samples in every phase; with a wave of the script's own period, too."""
    done = fake_nvml([str(SCRIPT), "--no-load", "--seconds", "2", "--json"], tick_ms=20, instant=1)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["phases"]
    assert [row["phase"] for row in rows] == ["idle", "full load", "square wave"]
    for row in rows:
        assert row["counter_w"] == pytest.approx(100, rel=0.05)
        assert row["sampled_w"] == pytest.approx(100, rel=0.05)


def test_a_board_that_is_lost_in_the_middle_is_reported(fake_nvml):
    done = fake_nvml([str(SCRIPT), "--no-load", "--seconds", "2"], tick_ms=20, lost_ms=1500)
    assert (done.returncode, done.stderr) == (1, "")
    assert "THE BOUNDS DO NOT HOLD" in done.stdout
    assert "the GPU is lost" in done.stdout
