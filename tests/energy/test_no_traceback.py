"""``python -m energy`` and ``bpfree doctor`` on every double: an answer, or one line and code 2, never a traceback."""

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from energy_doubles import FakeBoard, FakeNvml, NVMLLibraryMismatchError, Refusal, SimulatedTime, Tree

from bpfree.cli.commands.application import run
from bpfree.runs import doctor
from energy import Meter
from energy.__main__ import main
from energy.sources import codecarbon, nvml, rapl
from energy.sources.rapl_zone import Zone

COUNTER, HANDLE = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetHandleByIndex"
LOST, REFUSED = Refusal(15), Refusal(3)
PROCESSES = [SimpleNamespace(pid=2**22 + 1)]


def board(**answers: object) -> FakeBoard:
    return FakeBoard(answers=answers)


BOARDS = {
    "no library": FakeNvml(nvmlInit=Refusal(12)),
    "no driver": FakeNvml(nvmlInit=Refusal(9)),
    "two versions": FakeNvml(nvmlInit=Refusal(18)),
    "odd library": FakeNvml(nvmlInit=OSError("invalid ELF header")),
    "no count": FakeNvml(nvmlDeviceGetCount=LOST),
    "no boards": FakeNvml(nvmlDeviceGetCount=0),
    "one board": FakeNvml(),
    "two boards": FakeNvml(FakeBoard(), FakeBoard("GPU-1", b"Board \xff")),
    "one lost": FakeNvml(FakeBoard(), board(nvmlDeviceGetHandleByIndex=LOST)),
    "one forbidden": FakeNvml(board(nvmlDeviceGetHandleByIndex=Refusal(4)), FakeBoard("GPU-1")),
    "lost": FakeNvml(board(**{COUNTER: LOST, "nvmlDeviceGetName": LOST, "nvmlDeviceGetUUID": LOST})),
    "slices": FakeNvml(board(nvmlDeviceGetMigMode=(1, 1))),
    "no counter": FakeNvml(board(**{COUNTER: REFUSED, "nvmlDeviceGetPowerUsage": 100_000})),
    "no counter, no power": FakeNvml(board(**{COUNTER: REFUSED})),
    "frozen": FakeNvml(FakeBoard(energy_j=lambda now_s: 5.0)),
    "backwards": FakeNvml(FakeBoard(energy_j=lambda now_s: -100.0 * now_s)),
    "jumping": FakeNvml(FakeBoard(energy_j=lambda now_s: 1e13 * now_s)),
    "before driver 510": FakeNvml(board(nvmlDeviceGetComputeRunningProcesses=NVMLLibraryMismatchError("old"))),
    "shared": FakeNvml(board(nvmlDeviceGetComputeRunningProcesses=PROCESSES)),
    "module": FakeNvml(board(nvmlDeviceGetC2cModeInfoV=SimpleNamespace(isC2cEnabled=1))),
}


def unreadable(tree: Tree) -> None:
    tree.zone("0", "package-0")
    (tree.folder("0") / "energy_uj").unlink()


def nameless(tree: Tree) -> None:
    (tree.zone("0", "package-0") / "name").write_bytes(b"\xff\xfe")


def wordy(tree: Tree) -> None:
    (tree.zone("0", "package-0") / "energy_uj").write_text("many\n", encoding="utf-8")


def mirrored(tree: Tree) -> None:
    for key in ("0", "1"):
        tree.zone(key, f"package-{key}")


def whole(tree: Tree) -> None:
    for key, name in (("0", "package-0"), ("0:0", "core"), ("0:1", "dram"), ("1", "psys")):
        tree.zone(key, name)


def rangeless(tree: Tree) -> None:
    (tree.zone("0", "package-0", range_uj=None) / "constraint_0_max_power_uw").write_text("no", encoding="utf-8")


TREES: dict[str, Callable[[Tree], None]] = {
    made.__name__: made for made in (unreadable, nameless, wordy, mirrored, whole, rangeless)
}


@pytest.fixture
def answers(monkeypatch, capfd, tree) -> Callable[[], None]:
    """answers(): both commands with every backend give JSON and 0, or one line and 2."""
    SimulatedTime(monkeypatch)
    plain = rapl.sources
    monkeypatch.setattr(rapl, "sources", lambda root: plain(tree.root))
    monkeypatch.setattr(codecarbon, "_probe", lambda: ("3", []))
    monkeypatch.setattr(doctor, "_gflops", lambda dtype: 1.0)

    def check() -> None:
        for backend in ("auto", "nvml", "nvml-sampled", "rapl", "codecarbon", "none"):
            monkeypatch.setattr(sys, "argv", ["energy", "--json", "--backend", backend, "--idle-s", "0.5"])
            for command in (main, lambda name=backend: run(["doctor", "--json", "--meter", name])):
                code, (out, err) = command(), capfd.readouterr()
                assert code in ((0,) if backend in ("auto", "none") else (0, 2)), (backend, err)
                assert "Traceback" not in err
                if code == 0:
                    assert json.loads(out)
                else:
                    assert (out, len(err.splitlines())) == ("", 1)
            monkeypatch.setattr(sys, "argv", ["energy", "--backend", backend])
            assert main() in (0, 2)
            assert "Traceback" not in capfd.readouterr().err

    return check


@pytest.mark.parametrize("name", BOARDS)
def test_boards(answers, monkeypatch, name):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(nvml, "module", lambda: BOARDS[name])
    answers()


@pytest.mark.parametrize("visible", ["", "-1", "7", "MIG-1", "GPU-nobody", "0,0", "x"])
def test_visible_devices(answers, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(nvml, "module", FakeNvml)
    answers()


@pytest.mark.parametrize("name", TREES)
def test_trees(answers, monkeypatch, tree, name):
    monkeypatch.setattr(nvml, "module", lambda: FakeNvml(nvmlInit=Refusal(12)))
    TREES[name](tree)
    answers()


def test_a_zone_that_goes_while_the_meter_is_made(answers, monkeypatch, tree):
    monkeypatch.setattr(nvml, "module", lambda: FakeNvml(nvmlInit=Refusal(12)))
    tree.zone("0", "package-0")
    plain, reads = Zone.raw, []

    def raw(zone: Zone) -> int:
        reads.append(zone)
        if len(reads) > 1:
            raise FileNotFoundError(2, "No such file or directory")
        return plain(zone)

    monkeypatch.setattr(Zone, "raw", raw)
    answers()


KNOBS = (
    {},
    {"INIT_CODE": 9},
    {"ENERGY_CODE": 3},
    {"ENERGY_CODE": 3, "POWER_CODE": 4},
    {"FREEZE_MS": 0},
    {"BACK_MS": 0},
    {"LOST_MS": 0},
    {"JUMP_MS": 0},
    {"COUNT": 2, "FORBIDDEN": 1},
    {"COUNT": 0},
    {"INSTANT": 1, "ENERGY_CODE": 3},
    {"MIG": 1},
    {"PIDS": 3},
    {"MODULE": 1},
)


@pytest.mark.parametrize("old_driver", [False, True])
def test_the_library_in_c(fake_nvml, old_driver):
    """Each knob in turn, with the true module pynvml on the library."""
    script = (
        "import json, os, sys\n"
        "from energy.__main__ import main\n"
        "from bpfree.runs import doctor\n"
        "from energy.sources import codecarbon\n"
        "codecarbon._probe = lambda: ('3', [])\n"
        "doctor._gflops = lambda dtype: 1.0\n"
        f"for knobs in {KNOBS!r}:\n"
        "    for key in [key for key in os.environ if key.startswith('FAKE_')]: del os.environ[key]\n"
        "    os.environ.update({f'FAKE_{key}': str(value) for key, value in knobs.items()}, FAKE_TICK_MS='2')\n"
        "    sys.argv = ['energy', '--json']\n"
        "    assert main() == 0, knobs\n"
        "    json.dumps(doctor.examine())\n"
    )
    done = fake_nvml(["-c", script], old_driver=old_driver)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_meter_is_closed_without_a_traceback_when_a_board_is_lost_at_the_end(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    SimulatedTime(monkeypatch)
    made = FakeBoard()
    with Meter("nvml", nvml=FakeNvml(made)) as meter:
        made.answers = dict.fromkeys((COUNTER, "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo"), LOST)
    assert meter.describe()["components"]["gpu0"]["end"]["temperature_c"] is None
