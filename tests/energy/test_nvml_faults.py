"""energy.sources.nvml on a double of the module pynvml: what no board can do, and boards that are lost or odd."""

from types import SimpleNamespace

import pytest
from energy_doubles import FakeBoard, FakeNvml, NVMLLibraryMismatchError, Refusal, SimulatedTime

from energy import EnergyError, Meter

LIMIT = "nvmlDeviceGetEnforcedPowerLimit"
COUNTER = "nvmlDeviceGetTotalEnergyConsumption"
POWER = "nvmlDeviceGetPowerUsage"


@pytest.fixture
def clock(monkeypatch) -> SimulatedTime:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return SimulatedTime(monkeypatch)


class Jumping:
    """100 W, and further joules from a moment on."""

    def __init__(self, clock: SimulatedTime) -> None:
        self.clock, self.more_j = clock, 0.0

    def __call__(self, now_s: float) -> float:
        return 100.0 * now_s + self.more_j


@pytest.mark.parametrize(
    ("limit_mw", "more_j", "known"),
    [
        (350_000, 1.3e10, False),
        (350_000, 220.0, False),  # with 50 J of its own: 1.5 x 350 W x 0.51 s = 268 J
        (350_000, 210.0, True),
        (Refusal(), 700.0, True),  # a board that states no limit: 1500 W at most
        (Refusal(), 1200.0, False),
        (0, 700.0, True),
    ],
)
def test_a_jump_beyond_what_the_power_limit_allows_voids_its_window_only(clock, limit_mw, more_j, known):
    energy_j = Jumping(clock)
    board = FakeBoard(energy_j=energy_j, tick_s=0.01, answers={LIMIT: limit_mw})
    with Meter("nvml", nvml=FakeNvml(board)) as meter:
        meter.enter("train")
        clock.pass_by(0.5)
        energy_j.more_j = more_j
        meter.enter("validate")
        clock.pass_by(0.5)
    train, validate = (meter.readings()[name]["components"]["gpu0"] for name in ("train", "validate"))
    assert validate["energy_j"] == pytest.approx(50.0, abs=1.1)
    if known:
        assert train["energy_j"] == pytest.approx(50.0 + more_j, abs=1.1)
    else:
        assert train["energy_j"] is None
        assert "the energy counter jumped" in train["reason"]


def test_the_bound_is_that_of_the_power_limit(clock):
    """10 ms at 350 W are 3.5 J of the 100 J of a second at 100 W (and half a millisecond for the watch of the tick)."""
    board = FakeBoard(tick_s=0.01, answers={LIMIT: 350_000})
    with Meter("nvml", nvml=FakeNvml(board)) as meter:
        meter.enter("train")
        clock.pass_by(1.0)
    assert meter.readings()["train"]["err_bound"] == pytest.approx(0.035, rel=0.12)


def test_a_limit_that_is_raised_in_the_run_counts(clock):
    energy_j = Jumping(clock)
    board = FakeBoard(energy_j=energy_j, tick_s=0.01, answers={LIMIT: 100_000})
    with Meter("nvml", nvml=FakeNvml(board)) as meter:
        board.answers[LIMIT] = 700_000
        meter._touch("gpu0")
        meter.enter("train")
        clock.pass_by(0.5)
        energy_j.more_j = 250.0  # 600 W
    assert meter.readings()["train"]["components"]["gpu0"]["energy_j"] == pytest.approx(300.0, abs=1.1)


@pytest.mark.parametrize("call", ["nvmlDeviceGetHandleByIndex", COUNTER])
def test_a_board_that_is_lost_keeps_the_energy_of_the_others(clock, call):
    lost = FakeBoard("GPU-1", answers={call: Refusal(15), POWER: Refusal(15)})
    with Meter("nvml", nvml=FakeNvml(FakeBoard(), lost)) as meter:
        meter.enter("train")
        clock.pass_by(1.0)
    train = meter.readings()["train"]
    assert train["components"]["gpu0"]["energy_j"] == pytest.approx(100.0, abs=0.2)
    assert "the GPU is lost" in train["components"]["gpu1"]["reason"]
    assert train["lacks"] == ["cpu", "gpu1", "ram"]


def test_a_board_that_is_lost_while_the_meter_is_made_is_unavailable(clock):
    class Vanishing(FakeBoard):
        """Its counter can be watched, and no more."""

        def counter_mj(self) -> int:
            if clock.now_s > 1000.007:
                raise Refusal(15)
            return super().counter_mj()

    with Meter("auto", nvml=FakeNvml(FakeBoard(), Vanishing("GPU-1"))) as meter:
        parts = meter.describe()["components"]
    assert parts["gpu0"]["method"] == "measured:counter"
    assert "the GPU is lost" in parts["gpu1"]["reason"]


ODD = (
    NVMLLibraryMismatchError("unversioned function"),
    AttributeError("no such call"),
    UnicodeDecodeError("utf8", b"", 0, 1, ""),
)


@pytest.mark.parametrize("error", ODD)
@pytest.mark.parametrize("call", ["nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetName", COUNTER, "nvmlInit"])
def test_whatever_an_odd_module_raises_is_a_refusal_in_words(clock, call, error):
    board = FakeBoard(answers={call: error})
    nvml = FakeNvml(board, **({"nvmlInit": error} if call == "nvmlInit" else {}))
    with Meter("auto", nvml=nvml) as meter:
        meter.enter("train")
        clock.pass_by(1.0)
    name = "gpu" if call == "nvmlInit" else "gpu0"
    part = meter.readings()["train"]["components"][name]
    assert (part["energy_j"] is None) == (call in (COUNTER, "nvmlInit"))
    if isinstance(error, NVMLLibraryMismatchError) and part["energy_j"] is None:
        assert "this driver's library has no such call" in part["reason"]


def test_the_older_list_of_processes_is_asked_where_the_newer_is_missing(clock):
    calls = {
        "nvmlDeviceGetComputeRunningProcesses": NVMLLibraryMismatchError("unversioned function"),
        "nvmlDeviceGetComputeRunningProcesses_v2": [SimpleNamespace(pid=2**22 + 1)],
    }
    with Meter("nvml", nvml=FakeNvml(FakeBoard(answers=calls))) as meter:
        assert meter.describe()["components"]["gpu0"]["start"]["pids"] == [2**22 + 1]


@pytest.mark.parametrize(
    ("together", "boundary"), [(1, "module of GPU and CPU"), (0, "GPU board"), (Refusal(), "GPU board")]
)
def test_the_counter_of_a_module_of_gpu_and_cpu_is_not_that_of_a_board(clock, together, boundary):
    """On GH200 the counter is that of the whole module (Zeus, pull request 172); its limit may be the GPU's alone."""
    joined = together if isinstance(together, Exception) else SimpleNamespace(isC2cEnabled=together)
    board = FakeBoard(answers={"nvmlDeviceGetC2cModeInfoV": joined, LIMIT: 700_000})
    with Meter("nvml", nvml=FakeNvml(board)) as meter:
        meter.enter("train")
        clock.pass_by(1.0)
    part = meter.readings()["train"]["components"]["gpu0"]
    assert part["boundary"].startswith(boundary)
    assert part["highest_w"] == (1500 if together == 1 else 700)


def test_a_power_that_no_board_draws_voids_the_window(clock):
    board = FakeBoard(answers={COUNTER: Refusal(), POWER: 100_000, LIMIT: 350_000})
    with Meter("nvml", nvml=FakeNvml(board)) as meter:
        meter.enter("train")
        for power_mw in (120_000, 4_294_967_295, 100_000):
            clock.pass_by(0.05)
            board.answers[POWER] = power_mw
            meter._touch("gpu0")
    part = meter.readings()["train"]["components"]["gpu0"]
    assert part["energy_j"] is None
    assert "a power of 4.295e+06 W on a board of at most 350 W" in part["reason"]


def test_a_named_backend_with_no_board_left_says_why(clock):
    with pytest.raises(EnergyError, match="GPU 0: NVML: no permission"):
        Meter("nvml", nvml=FakeNvml(FakeBoard(answers={"nvmlDeviceGetHandleByIndex": Refusal(4)})))
