"""energy.sources.nvml on the compiled fake library (notes §8): known power, and every fault. No real GPU was used."""

import hashlib
import json

import pytest
from energy_doubles import FakeBoard, FakeNvml

from energy import EnergyError, Meter

pytestmark = pytest.mark.real_time
FAST = {"tick_ms": 20}
SLEEP = "meter.enter('train')\ntime.sleep({})"


def gpu(found: dict, window: str = "train", name: str = "gpu0") -> dict:
    return found["readings"][window]["components"][name]


def test_joules_are_power_times_time_within_the_stated_bound(metered):
    """100 W; the window is no multiple of the tick, so the bound is needed."""
    found = metered(SLEEP.format(0.73), **FAST)
    train, part = found["readings"]["train"], gpu(found)
    assert abs(part["energy_j"] / (100 * train["seconds"]) - 1) <= part["err_bound"]
    assert part["method"] == "measured:counter"
    assert part["tick_ms"] == pytest.approx(20, rel=0.2)
    assert part["err_bound"] == pytest.approx(part["tick_ms"] / 1e3 * 300 / part["energy_j"])  # its limit is 300 W


@pytest.mark.parametrize("tick_ms", [10, 50])
def test_the_tick_is_measured(metered, tick_ms):
    found = metered("", tick_ms=tick_ms)
    assert found["describe"]["components"]["gpu0"]["tick_ms"] == pytest.approx(tick_ms, rel=0.2)


def test_a_window_shorter_than_a_tick_is_unavailable(metered):
    part = gpu(metered(SLEEP.format(0.02), tick_ms=100))
    assert part["energy_j"] is None
    assert "shorter than one tick" in part["reason"]


@pytest.mark.parametrize("knobs", [{"energy_code": 3}, {"energy_code": 13}, {"old_driver": True}])
def test_a_refused_counter_falls_back_to_samples_and_says_why(metered, knobs):
    """Found by calling: the architecture still says Hopper. Constant power makes the trapezoid rule exact."""
    found = metered(SLEEP.format(0.5), **knobs)
    part, train = gpu(found), found["readings"]["train"]
    assert part["method"] == "measured:sampled"
    assert part["energy_j"] == pytest.approx(100 * train["seconds"], rel=0.02)
    described = found["describe"]["components"]["gpu0"]
    assert described["refused"][0].startswith("energy counter: NVML: ")
    assert described["samples"] >= 8
    assert described["largest_gap_ms"] >= described["poll_ms"]


def test_a_counter_frozen_from_the_start_falls_back_to_samples(metered):
    found = metered(SLEEP.format(0.3), freeze_ms=0)
    assert gpu(found)["method"] == "measured:sampled"
    assert "frozen" in found["describe"]["components"]["gpu0"]["refused"][0]


def test_a_counter_that_freezes_later_voids_its_windows(metered):
    """At 20 ms a tick, 0.2 s without a change is a stand-still."""
    body = "meter.enter('train')\ntime.sleep(0.3)\nmeter.enter('validate')\ntime.sleep(1)"
    found = metered(body, freeze_ms=700, **FAST)
    part = gpu(found, "validate")
    assert part["energy_j"] is None
    assert "stood still" in part["reason"]


def test_a_counter_that_goes_back_voids_its_window_only(metered):
    body = "meter.enter('train')\ntime.sleep(1)\nmeter.enter('validate')\ntime.sleep(0.31)"
    found = metered(body, back_ms=800, **FAST)
    assert gpu(found)["energy_j"] is None
    assert "went back" in gpu(found)["reason"]
    assert gpu(found, "validate")["energy_j"] == pytest.approx(
        100 * found["readings"]["validate"]["seconds"], rel=gpu(found, "validate")["err_bound"]
    )


@pytest.mark.parametrize(("knobs", "seconds"), [({}, 1.0), ({"energy_code": 3}, 2.2)])
def test_a_gpu_lost_in_the_run_is_unavailable_with_the_reason(metered, knobs, seconds):
    """Counter and samples alike (samples: after a gap of a second); the meter lives on."""
    body = f"meter.enter('train')\ntime.sleep({seconds})\nmeter.enter('validate')\ntime.sleep(0.1)"
    found = metered(body, lost_ms=900, **FAST, **knobs)
    for window in ("train", "validate"):
        assert gpu(found, window)["energy_j"] is None
        assert "lost" in gpu(found, window)["reason"]
    assert found["readings"]["train"]["total_j"] is None


@pytest.mark.parametrize(
    ("visible", "powers_w"), [(None, [100, 200]), ("1,0", [200, 100]), ("GPU-b", [200]), ("1", [200])]
)
def test_two_gpus_are_named_in_the_order_that_cuda_gives_them(metered, visible, powers_w):
    """GPU i of the fake draws (i + 1) x 100 W."""
    knobs = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = metered(SLEEP.format(0.51), count=2, **FAST, **knobs)
    train = found["readings"]["train"]
    names = [name for name in train["components"] if name.startswith("gpu")]
    assert names == [f"gpu{k}" for k in range(len(powers_w))]
    for name, power_w in zip(names, powers_w, strict=True):
        assert gpu(found, name=name)["energy_j"] == pytest.approx(power_w * train["seconds"], rel=0.05)
    assert train["total_j"] == pytest.approx(sum(gpu(found, name=name)["energy_j"] for name in names))


def test_mig_is_refused_in_words(metered):
    assert "MIG slice" in metered("", CUDA_VISIBLE_DEVICES="MIG-12ab")["error"]
    assert "MIG slice" in metered("", mig=1)["error"]


@pytest.mark.parametrize("backend", ["nvml", "nvml-sampled"])
def test_square_wave_power_is_integrated(metered, backend):
    """50 W and 150 W in turns of 200 ms. Whole periods are worth 100 W; the rest of at most one half period differs by
    at most 50 W x 0.2 s, and the edges by a tick (or the sampled jumps by half a poll) at 150 W."""
    found = metered(SLEEP.format(1.3), backend=backend, square_ms=200, **FAST)
    seconds = found["readings"]["train"]["seconds"]
    slack_j = 50 * 0.2 + 150 * 0.02 + (10 * 100 * 0.05 / 2 if backend == "nvml-sampled" else 0)
    assert abs(gpu(found)["energy_j"] - 100 * seconds) <= slack_j


def test_the_instant_power_field_is_used_where_it_exists(metered):
    """The plain reading is refused: only the field can have given the watts."""
    found = metered(SLEEP.format(0.3), backend="nvml-sampled", instant=1, power_code=3)
    assert gpu(found)["energy_j"] == pytest.approx(100 * found["readings"]["train"]["seconds"], rel=0.02)


@pytest.mark.parametrize(
    ("code", "words"), [(9, "driver is not loaded"), (18, "different versions"), (4, "no permission")]
)
def test_an_nvml_that_does_not_start_gives_the_reason_in_words(metered, code, words):
    assert words in metered("", init_code=code)["error"]


def test_a_gpu_behind_a_driver_that_fails_is_lacking(metered):
    """The library is there, so there is a GPU; its energy is not zero but unknown."""
    train = metered(SLEEP.format(0.05), backend="auto", init_code=9)["readings"]["train"]
    assert train["lacks"] == ["gpu"]
    assert "driver is not loaded" in train["components"]["gpu"]["reason"]


def test_a_gpu_that_gives_neither_counter_nor_power_is_unavailable_with_both_reasons(metered):
    assert "energy counter: NVML: not supported" in metered("", energy_code=3, power_code=4)["error"]
    assert "power: NVML: no permission" in metered("", energy_code=3, power_code=4)["error"]


def test_without_the_library_nothing_is_lacking_but_the_reason_is_there():
    """This machine has no NVIDIA library; a CPU-only machine lacks no GPU."""
    with Meter("auto") as meter:
        meter.enter("train")
    if "gpu" not in meter.describe()["notes"]:
        pytest.skip("this machine has an NVML")
    assert "libnvidia-ml.so.1 was not found" in meter.describe()["notes"]["gpu"]
    assert meter.readings()["train"]["lacks"] == []


def test_the_state_of_the_board_is_in_the_description(metered):
    found = metered(SLEEP.format(0.1), pids=2, **FAST)["describe"]
    part = found["components"]["gpu0"]
    for moment in ("start", "end"):
        assert part[moment]["temperature_c"] == 61
        assert part[moment]["power_limit_w"] == 300
        assert part[moment]["throttling"] == ["software power cap", "software thermal slowdown"]
        assert part[moment]["pids"] == [4000000, 4000001]
        assert part[moment]["persistence_mode"] is True
    assert "shared: other processes on it at the start: 2" in part["boundary"]
    uuid = "GPU-a0000000-0000-0000-0000-000000000000"
    assert part["uuid_sha256"] == hashlib.sha256(uuid.encode()).hexdigest()[:12]


def test_heat_and_co_tenants_that_come_and_go_are_noted(metered):
    """Another process is on the board from 0.5 to 1.9 s: neither at the start nor at the end."""
    body = (
        "import os\nmeter.enter('train')\ntime.sleep(0.5)\nos.environ['FAKE_PIDS'] = '1'\ntime.sleep(1.4)\n"
        "os.environ['FAKE_PIDS'] = '0'\ntime.sleep(0.1)"
    )
    part = metered(body, **FAST)["describe"]["components"]["gpu0"]
    assert part["start"]["pids"] == part["end"]["pids"] == []
    assert part["during"]["other_pids"] == [4000000]
    assert part["during"]["hottest_c"] == 61
    assert part["during"]["throttling"] == ["software power cap", "software thermal slowdown"]


def test_processes_are_known_to_drivers_before_510(metered):
    """Their list has an older name; the third version of the call is missing in the library."""
    found = metered(SLEEP.format(0.1), old_driver=True, pids=2)["describe"]["components"]["gpu0"]
    assert found["start"]["pids"] == [4000000, 4000001]


def test_a_fake_device_is_marked_in_reading_and_description(metered):
    found = metered(SLEEP.format(0.1), **FAST)
    assert found["readings"]["train"]["fake"] is True
    assert found["describe"]["fake"] is True


@pytest.mark.parametrize("name", ["Board", b"Board"])
def test_names_may_be_text_or_bytes(name, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with Meter("nvml", nvml=FakeNvml(FakeBoard(name=name), nvmlSystemGetDriverVersion=name)) as meter:
        found = json.loads(json.dumps(meter.describe()))
    assert found["components"]["gpu0"]["device"] == found["components"]["gpu0"]["driver"] == "Board"
    assert found["components"]["gpu0"]["fake"] is True


def test_gpus_can_be_named_and_one_that_is_not_there_is_refused():
    with Meter("nvml", gpus=[0], nvml=FakeNvml()) as meter:
        assert "gpu0" in meter.describe()["components"]
    with pytest.raises(EnergyError, match="no GPU 3 here"):
        Meter("auto", gpus=[3], nvml=FakeNvml())
