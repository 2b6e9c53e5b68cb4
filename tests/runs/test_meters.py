"""Meters of one's own: a class or function in a file, or another package's, named as ``--meter``."""

import hashlib
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small import tiny

import bpfree
from bpfree.runs import meters
from energy import EnergyError
from energy.sources import nvml

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


class Refusal(Exception):
    """NVMLError of the double below."""

    value = 3


class TwoBoards:
    """A double for the pynvml module: two boards, each with a counter of 100 W."""

    NVMLError = Refusal

    def __getattr__(self, call: str):
        def board(*arguments):
            values = {
                "nvmlInit": None,
                "nvmlShutdown": None,
                "nvmlDeviceGetCount": 2,
                "nvmlDeviceGetHandleByIndex": arguments[0] if arguments else None,
                "nvmlDeviceGetName": f"Board {arguments[0]}" if arguments else "",
                "nvmlDeviceGetUUID": f"GPU-{arguments[0]}" if arguments else "",
                "nvmlSystemGetDriverVersion": "1",
                "nvmlDeviceGetTotalEnergyConsumption": 100 * int(1e3 * time.monotonic()),
            }
            if call not in values:
                raise Refusal(call)
            return values[call]

        return board


@pytest.mark.parametrize(("uuid", "known"), [("1", True), ("of-a-slice", False)])
def test_boards_of_others_are_never_counted(monkeypatch: pytest.MonkeyPatch, uuid: str, known: bool):
    monkeypatch.setattr(nvml, "module", TwoBoards)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuid))
    with meters.meter_for("auto", torch.device("cuda:0"), None, None) as meter:
        components = meter.describe()["components"]
    gpus = {name: part for name, part in components.items() if name.startswith("gpu")}
    if known:
        assert [(part["device"], part["method"]) for part in gpus.values()] == [("Board 1", "measured:counter")]
    else:
        assert [part["method"] for part in gpus.values()] == ["unavailable"]
        assert "no GPU 'GPU-of-a-slice' here; NVML sees: 0 (GPU-0), 1 (GPU-1)" in gpus["gpu"]["reason"]


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
