"""The nine faults that spoiled the field's best-known energy study: each is committed here, and refused or detected.

Faults that the commands cannot make any more are forged: records are rewritten with valid hashes, as a careless
script would.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_study import SMALL

from bpfree import InputError
from bpfree.reports import study
from bpfree.reports.validity import faults
from bpfree.runs import plan as plans
from bpfree.runs import record as records
from bpfree.runs import train
from bpfree.studies import arms, compare
from bpfree.studies.trials import without_test
from bpfree.training import run_folder
from energy.labels import COUNTER
from energy.sources.source import Point, Source

MF, TWIN = "mono-forward", "backprop"
OWN = study.OWN


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The finished study, to be tampered with."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


def folders(place: Path, arm: str) -> list[Path]:
    """Folders of an arm's runs at their own convergence, by seed."""
    runs = [r for r in study.read(place)["runs"] if (r["arm"], r["budget"]) == (arm, OWN)]
    return [place / r["path"] for r in sorted(runs, key=lambda r: r["seed"])]


def forge(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrite a record with a hash that fits."""
    record = records.read(folder / "run.json")
    change(record)
    records.write(record, folder / "run.json")


def fault_lines(place: Path) -> str:
    return "\n".join(fault.text for fault in faults(study.load(place)))


def test_honest_study_has_none_of_them(finished: Path):
    assert faults(study.load(finished)) == []


def test_record_changed_by_hand_is_named_with_its_hash(copy: Path):
    path = folders(copy, MF)[0] / "run.json"
    path.write_text(path.read_text().replace('"direction": "max"', '"direction": "min"'))
    with pytest.raises(InputError, match=r"run\.json was changed after it was written: it states sha256"):
        study.load(copy)


# 1. Repeated seeds ----------------------------------------------------------------------------------------------------


def test_1_a_seed_given_twice_is_refused():
    with pytest.raises(InputError, match="seed 42 is given twice"):
        compare.seed_list("42,43,42")


def test_1_one_seed_behind_several_names_is_detected(copy: Path):
    for folder in folders(copy, MF)[1:]:
        forge(folder, lambda record: record.update(seed=0))
    text = fault_lines(copy)
    assert "mono-forward, own convergence: seed 0 counts 3 times" in text
    assert "the run listed as seed 1 was trained with seed 0" in text


# 2. A checkpoint that runs share --------------------------------------------------------------------------------------


def test_2_no_run_writes_into_the_folder_of_another(copy: Path, data: str):
    values = {key: value for key, value in SMALL.items() if key != "idle_s"}
    with pytest.raises(InputError, match="exists: choose another --out"):
        train.train(MF, data, out=folders(copy, MF)[0], seed=7, **values)


def test_2_two_seeds_tested_with_the_same_weights_are_detected(copy: Path):
    first, second = folders(copy, MF)[:2]
    result = records.read(first / "run.json")["result"]
    same = {key: result[key] for key in ("test", "predictions_sha256")}
    forge(second, lambda record: record["result"].update(same))
    assert "seeds 0 and 1 predict exactly the same on the test data" in fault_lines(copy)


# 3. Another stopping rule for one arm ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["patience=3", "epochs=5", "min_delta=0.01"])
def test_3_an_arm_cannot_bring_a_stopping_rule_of_its_own(key: str, data: str):
    with pytest.raises(InputError, match="belongs to the whole study, so that all arms run alike"):
        arms.build_arms([f"{MF}:{key}"], data, None, {"hidden": (16,)})


def test_3_unequal_stopping_is_detected(copy: Path):
    for folder in folders(copy, TWIN):
        forge(folder, lambda record: record["config"].update(patience=40))
    assert "the arms do not stop by one rule" in fault_lines(copy)


# 4. Checkpoints written inside one arm's metered window ---------------------------------------------------------------


class Ink(Source):
    """Joules that are spent by writing checkpoints, and by nothing else."""

    spent = 0.0
    method = COUNTER

    def read(self) -> Point:
        return Point(type(self).spent)


def test_4_checkpoints_are_outside_the_training_window(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save = run_folder.RunFolder.save

    def costly(self, state: dict) -> None:
        save(self, state)
        Ink.spent += 1

    monkeypatch.setattr(run_folder.RunFolder, "save", costly)
    monkeypatch.setattr("energy.meter.find", lambda *_: ([Ink("cpu")], {}))
    before = Ink.spent
    values = {**SMALL, "meter": "auto"}
    del values["idle_s"]
    record = train.train(MF, data, out=tmp_path / "run", checkpoint_every=0, batch_size=50, **values)
    written = Ink.spent - before
    assert written > SMALL["epochs"]
    spent = {name: window["total_j"] for name, window in record["energy"].items()}
    assert spent.pop("save") == written
    assert set(spent.values()) == {0.0}


def test_4_an_arm_cannot_write_checkpoints_more_often(data: str):
    with pytest.raises(InputError, match="checkpoint_every belongs to the whole study"):
        arms.build_arms([f"{MF}:checkpoint_every=0"], data, None, {"hidden": (16,)})


def test_4_a_window_that_only_one_arm_has_is_detected(copy: Path):
    for folder in folders(copy, MF):
        forge(folder, lambda record: record["energy"].pop("save"))
    assert "no window 'save', unlike" in fault_lines(copy)


# 5. Memory that is mostly the CUDA context ----------------------------------------------------------------------------


def test_5_device_wide_memory_is_detected(copy: Path):
    for folder in folders(copy, MF):
        forge(folder, lambda record: record["memory"].update(method="NVML, device-wide used memory"))
    assert "memory is device-wide (NVML, device-wide used memory), mostly the CUDA context" in fault_lines(copy)


def test_5_memory_measured_in_two_ways_is_detected(copy: Path):
    for folder in folders(copy, TWIN):
        forge(folder, lambda record: record["memory"].update(method="CUDA allocator peak"))
    assert "memory was not measured in one way" in fault_lines(copy)


# 6. A baseline with dead parameters -----------------------------------------------------------------------------------

DEAD = '''
"""Backpropagation that carries the projections of another rule."""
from torch import nn
from bpfree.rules.backprop import Backprop as Base

class Dead(Base):
    def setup(self):
        self.unused = nn.Linear(500, 10)
'''


def test_6_dead_parameters_of_a_twin_are_detected(copy: Path, data: str, tmp_path: Path):
    (tmp_path / "dead.py").write_text(DEAD)
    values = {key: value for key, value in SMALL.items() if key != "idle_s"}
    record = train.train(f"{tmp_path}/dead.py:Dead", data, out=tmp_path / "dead", **values)
    forge(folders(copy, TWIN)[0], lambda own: own.update(parameters=record["parameters"]))
    assert "backprop: the baseline carries 5,010 parameters that no prediction uses" in fault_lines(copy)


# 7. CO2e of another run -----------------------------------------------------------------------------------------------


def test_7_co2e_of_another_run_is_detected(copy: Path):
    of_another = {"kg": 0.03 / 3.6 * 400 / 1000, "method": "derived", "energy_j": 3e4, "pue": 1.0, "g_per_kwh": 400.0}
    forge(folders(copy, MF)[0], lambda record: record.update(co2e=of_another))
    assert "its CO2e is of 3e+04 J, which is not the energy of this run" in fault_lines(copy)


# 8. Selection on test data --------------------------------------------------------------------------------------------


def test_8_a_search_has_no_test_data_to_select_on(data: str):
    plan = plans.plan(MF, data, "mlp", {"hidden": (16,)})
    assert plan.load_data().test is not None
    assert without_test(plan.load_data()).test is None


def test_8_looking_at_test_data_while_training_is_detected(copy: Path):
    forge(folders(copy, MF)[0], lambda record: record["history"][0].update(test=0.9))
    assert "test data was looked at in every epoch" in fault_lines(copy)


def test_8_validation_on_the_test_rows_is_detected(copy: Path):
    for folder in folders(copy, MF):
        forge(folder, lambda record: record["result"].update(val=record["result"]["test"]))
    assert "validation and test results are equal in every run: selection was on test data" in fault_lines(copy)


# 9. A spread that cannot come from the runs ---------------------------------------------------------------------------


def stated(place: Path, mean: float, sd: float) -> str:
    plan = json.loads((place / "study.json").read_text())
    plan["stated"] = [{"arm": MF, "budget": OWN, "mean": mean, "sd": sd, "n": 3, "digits": 4}]
    (place / "study.json").write_text(json.dumps(plan))
    return fault_lines(place)


def test_9_a_stated_spread_that_the_runs_do_not_have_is_detected(copy: Path):
    values = [records.read(folder / "run.json")["result"]["test"] for folder in folders(copy, MF)]
    mean = sum(values) / 3
    sd = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
    assert stated(copy, round(mean, 4), round(sd, 4)) == ""
    assert "is stated, but cannot come from its runs" in stated(copy, round(mean, 4), round(sd + 0.01, 4))


def test_9_seeds_without_any_spread_are_detected(copy: Path):
    for folder in folders(copy, MF):
        forge(folder, lambda record: record["result"].update(test=0.6234))
    assert "3 seeds give one test result to the last digit" in fault_lines(copy)
