"""Meters of one's own: a class or function in a file, or another package's, named as ``--meter``."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from energy_doubles import FakeBoard, FakeNvml, Refusal
from small import tiny

import bpfree
from bpfree.runs import meters
from energy import EnergyError, Meter
from energy.sources import nvml, rapl

PLUG = """
from energy import Point, Source

class Plug(Source):
    \"\"\"A plug meter that has counted 3 J more at every reading.\"\"\"

    method = "measured:counter"
    source = "plug meter"
    boundary = "the whole machine at the wall"

    def __init__(self, name="wall"):
        super().__init__(name)
        self.joules = 0.0

    def read(self):
        self.joules += 3.0
        return Point(self.joules)

def two():
    return [Plug("wall"), Plug("cpu")]

def none():
    return [1]

class Unlabelled(Plug):
    method = "guessed"

class Broken(Plug):
    def __init__(self, address):
        super().__init__()
"""
VALUES = {"hidden": (8,), "epochs": 1, "batch_size": 22, "device": "cpu", "threads": 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plug.py"
    path.write_text(PLUG)
    return path


def test_a_run_is_metered_by_a_class_in_a_file(file: Path, tmp_path: Path):
    """Every window has two edges at least, so 3 J each; the record says where the meter came from."""
    record = bpfree.train("mono-forward", tiny(), out=tmp_path / "run", meter=f"{file}:Plug", **VALUES)
    assert record["meter"]["backend"] == f"{file}:Plug"
    origin = {"file": f"{file}:Plug", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert record["meter"]["origin"] == origin
    train = record["energy"]["train"]
    assert (train["method"], train["includes"], train["lacks"]) == ("measured:counter", ["wall"], ["cpu", "ram"])
    assert train["total_j"] > 0
    assert train["total_j"] % 3 == 0
    assert "does not read it" in train["components"]["cpu"]["reason"]


def test_a_function_gives_several_sources(file: Path):
    with meters.make_meter(f"{file}:two") as meter:
        meter.enter("work")
    part = meter.readings()["work"]
    assert part["includes"] == ["cpu", "wall"]
    assert part["total_j"] == 6.0  # 3 J between the two readings of each


def test_a_file_with_several_classes_needs_a_name(file: Path):
    with pytest.raises(bpfree.InputError, match="exactly one public Source subclass, it has Broken, Plug, Unlabelled"):
        meters.make_meter(str(file))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none", bpfree.InputError, r"must give an energy\.Source or a list of them, not \[1\]"),
        ("Unlabelled", EnergyError, r"method 'guessed': choose from measured:counter"),
        ("Broken", bpfree.InputError, r"cannot be made: TypeError"),
        ("PLUG", bpfree.InputError, r"unknown function in .*'PLUG': choose from Broken, Plug, Unlabelled, none, two"),
        ("Point", bpfree.InputError, r"is not a Source: subclass energy\.Source or write a function"),
    ],
)
def test_something_else_than_a_meter_says_what_would_be_right(file: Path, name: str, error: type, message: str):
    with pytest.raises(error, match=message):
        meters.make_meter(f"{file}:{name}")


def test_a_meter_of_another_package_by_its_name(file: Path, monkeypatch: pytest.MonkeyPatch):
    info = file.parent / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bpfree.meters]\nwall = plug:Plug\n")
    monkeypatch.syspath_prepend(file.parent)
    with meters.make_meter("wall") as meter:
        description = meter.describe()
    assert (description["backend"], description["origin"]) == ("wall", {"plugin": "plug:Plug"})
    assert json.dumps(description)


def test_two_sources_of_one_component_are_refused(file: Path):
    file.write_text(PLUG + '\ndef twice():\n    return [Plug("cpu"), Plug("cpu")]\n', encoding="utf-8")
    with pytest.raises(EnergyError, match="two sources read the component 'cpu'"):
        meters.make_meter(f"{file}:twice")


GPU = torch.device("cuda:0")


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """boards(uuid, …, trains=uuid): NVML sees these, and torch computes on one of them."""

    def use(*uuids: str, trains: str, **answers: object) -> None:
        double = FakeNvml(*(FakeBoard(f"GPU-{uuid}", f"Board {uuid}") for uuid in uuids), **answers)
        monkeypatch.setattr(nvml, "module", lambda: double)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=trains))

    return use


def gpus(meter: Meter) -> dict[str, dict]:
    return {name: part for name, part in meter.describe()["components"].items() if name.startswith("gpu")}


@pytest.mark.parametrize(("uuid", "known"), [("1", True), ("of-a-slice", False)])
def test_boards_of_others_are_never_counted(boards, uuid: str, known: bool):
    boards("0", "1", trains=uuid)
    with meters.meter_for("auto", GPU, None, None) as meter:
        parts = gpus(meter)
    if known:
        assert [(part["device"], part["method"]) for part in parts.values()] == [("Board 1", "measured:counter")]
    else:
        assert [part["method"] for part in parts.values()] == ["unavailable"]
        assert "no GPU 'GPU-of-a-slice' here; NVML sees: 0 (GPU-0), 1 (GPU-1)" in parts["gpu"]["reason"]


def test_a_lost_board_that_does_not_train_takes_nothing_from_the_one_that_does(boards, monkeypatch):
    boards("0", "1", trains="1")
    monkeypatch.setitem(nvml.module().boards[0].answers, "nvmlDeviceGetHandleByIndex", Refusal(15))
    with meters.meter_for("nvml", GPU, None, None) as meter:
        meter.enter("train")
        time.sleep(0.02)
    assert [part["device"] for part in gpus(meter).values()] == ["Board 1"]
    train = meter.readings()["train"]
    assert (train["includes"], train["lacks"]) == (["gpu0"], ["cpu", "ram"])


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("auto", Refusal(12), "libnvidia-ml.so.1 was not found"),  # as with ROCm
        ("rapl", None, "rapl does not read it"),
        ("none", None, "metering is off"),
    ],
)
def test_a_gpu_that_trains_and_is_not_metered_is_lacking(boards, monkeypatch, tree, name, error, reason):
    """Else the energy of the CPU would stand for that of the run."""
    tree.zone("0", "package-0")
    plain = rapl.sources
    monkeypatch.setattr(rapl, "sources", lambda root: plain(tree.root))
    boards("0", trains="0", **({"nvmlInit": error} if error else {}))
    with meters.meter_for(name, GPU, None, None) as meter:
        meter.enter("train")
        time.sleep(0.01)
    train = meter.readings()["train"]
    assert "gpu" in train["lacks"]
    assert reason in train["components"]["gpu"]["reason"]


@pytest.mark.parametrize("name", ["auto", "none"])
def test_a_run_on_the_cpu_lacks_no_gpu(boards, name):
    boards("0", trains="0")
    with meters.meter_for(name, torch.device("cpu"), None, None) as meter:
        assert gpus(meter) == {}


def test_a_gpu_of_another_kind_is_lacking():
    with meters.meter_for("none", torch.device("mps"), None, None) as meter:
        assert gpus(meter)["gpu"]["reason"] == "metering is off"


def test_a_wall_meter_says_that_the_gpu_is_in_it(boards, file: Path):
    boards("0", trains="0")
    with meters.meter_for(f"{file}:Plug", GPU, None, None) as meter:
        assert list(gpus(meter)) == ["gpu"]
    file.write_text(f"{PLUG}\nclass Wall(Plug):\n    contains = ('cpu', 'gpu', 'ram')\n", encoding="utf-8")
    with meters.meter_for(f"{file}:Wall", GPU, None, None) as meter:
        assert list(meter.describe()["components"]) == ["wall"]


def test_a_run_of_several_processes_meters_their_boards_all_and_no_others(boards, monkeypatch):
    """Four boards; two processes here compute on 2 and 1, one on another machine on its own."""
    boards("0", "1", "2", "3", trains="2")

    def gathered(own: tuple) -> list[tuple]:
        machine, host, _, uuid = own
        assert uuid == "GPU-2"
        return [own, (machine, host, 4001, "GPU-1"), ("another boot", "far", 17, "GPU-2")]

    monkeypatch.setattr("bpfree.training.distributed.gathered", gathered)
    processes = [SimpleNamespace(pid=4001), SimpleNamespace(pid=2**22 + 1)]
    for board in nvml.module().boards:
        board.answers["nvmlDeviceGetComputeRunningProcesses"] = processes
    with meters.meter_for("nvml", GPU, None, None) as meter:
        meter.enter("train")
        time.sleep(0.02)
    assert [part["devices"] for part in gpus(meter).values()] == [["GPU-2"], ["GPU-1"]]
    assert all("other processes on it at the start: 1" in part["boundary"] for part in gpus(meter).values())
    train = meter.readings()["train"]
    assert train["lacks"] == ["cpu", "host far", "ram"]
    assert "another machine" in train["components"]["host far"]["reason"]


def test_an_unknown_meter_is_answered_with_the_backends():
    with pytest.raises(EnergyError, match="no energy backend 'rapll': did you mean rapl"):
        meters.make_meter("rapll")


def test_the_example_meters_a_battery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """1000 microwatt-hours are 3.6 J; without a battery there is no value, and the reason."""
    battery = meters.METERS.load(f"{Path(bpfree.__file__).parents[1]}/examples/your_own_meter.py:Battery")
    monkeypatch.setattr(battery, "folder", tmp_path)
    assert battery().read().joules is None
    assert "cannot read the battery" in battery().read().fault
    (tmp_path / "status").write_text("Discharging\n")
    (tmp_path / "energy_now").write_text("50000000\n")
    before = battery().read()
    (tmp_path / "energy_now").write_text("49999000\n")
    assert battery().read().joules - before.joules == pytest.approx(3.6, abs=1e-6)
    (tmp_path / "status").write_text("Charging\n")
    assert "unplug" in battery().read().fault
