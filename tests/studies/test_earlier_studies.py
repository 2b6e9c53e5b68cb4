"""Studies of earlier versions read, report and go on; one that goes on keeps the settings that its arms began with."""

import json
import shutil
from pathlib import Path

import pytest

from bpfree import InputError
from bpfree.reports import study
from bpfree.reports.build import build
from bpfree.reports.migrations import migrated
from bpfree.runs import record
from bpfree.studies import arms
from bpfree.studies.compare import compare
from bpfree.studies.ledger import Ledger

FOLDER = Path(__file__).with_name("folders") / "study-1"
COMMAND = {"seeds": 1, "controls": [], "hidden": (4,), "epochs": 2, "threads": 1, "device": "cpu", "meter": "none"}
ARM, AGAIN, TWIN = "mono-forward", "mono-forward again", "backprop"


@pytest.fixture
def cut(tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch, in_process: None) -> Path:
    """A copy of the study of version 1 beside its data, in the working directory; its second budget is to be run."""
    shutil.copy(data.removeprefix("npz:"), tmp_path / "digits.npz")
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(FOLDER, tmp_path / "study-1"))


def go_on(**changes) -> dict:
    return compare(ARM, "npz:digits.npz", out="study-1", **{**COMMAND, **changes})


def test_version_1_reads_with_its_keys_renamed():
    before = json.loads((FOLDER / "study.json").read_text(encoding="utf-8"))
    after = study.read(FOLDER)
    assert (before["schema"], after["schema"]) == ("bpfree-study/1", "bpfree-study/2")
    assert [arm["reference"] for arm in after["arms"]] == [None, ARM, ARM]
    assert [arm["reference"] for arm in after["arms"]] == [arm["beside"] for arm in before["arms"]]
    assert after["concurrent_runs"] == before["together"]
    assert not [arm for arm in after["arms"] if "beside" in arm]
    assert "together" not in after
    assert after["extensions"] == {}
    renamed = {"schema", "arms", "together"}
    assert {key: after[key] for key in before if key not in renamed} == {
        key: value for key, value in before.items() if key not in renamed
    }


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (ARM, []),
        ("mono-forward:lr=0.1,hidden=64,32", ["lr", "hidden"]),
        ("mine.py:Rule:lr=1e-3", ["lr"]),
        ("backprop:deep_supervision=true (net of mono-forward:hidden=8)", ["deep_supervision"]),
        ("backprop (net of mono-forward:lr=0.1)", []),
    ],
)
def test_version_1_kept_the_settings_that_were_written_in_the_names_of_arms(name, written):
    plan = {"schema": "bpfree-study/1", "arms": [{"name": name, "algo": "x"}]}
    assert migrated(plan)["arms"][0]["written"] == written
    assert plan == {"schema": "bpfree-study/1", "arms": [{"name": name, "algo": "x"}]}  # the migration is pure


@pytest.mark.parametrize(("arms_", "named"), [(5, "arms:"), ([5], "arms.0:"), ([], "arms:")])
def test_damaged_study_of_version_1_gets_one_line(tmp_path, arms_, named):
    plan = {**json.loads((FOLDER / "study.json").read_text(encoding="utf-8")), "arms": arms_}
    (tmp_path / "study.json").write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        study.read(tmp_path)
    assert f"does not fit bpfree-study/2: {named}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_version_1_is_reported():
    loaded = study.load(FOLDER)
    assert [run.status for run in loaded.runs] == ["finished"] * 3 + ["planned"] * 3
    report = build(loaded)
    assert {arm["name"] for arm in report["arms"]} == {ARM, AGAIN, TWIN}


def test_study_of_version_1_goes_on_with_the_same_command(cut):
    kept = {path: path.read_bytes() for path in cut.glob("runs/own/*/*/run.json")}
    plan = go_on()
    assert [run["status"] for run in plan["runs"]] == ["finished"] * 6
    assert len(kept) == 3
    assert {path: path.read_bytes() for path in kept} == kept
    assert json.loads((cut / "study.json").read_text(encoding="utf-8"))["schema"] == "bpfree-study/2"


def test_option_that_a_later_version_adds_makes_no_other_study(cut):
    """It was made with the default: here the margin and the epochs of a trial, as if version 1 had not had them."""
    saved = json.loads((cut / "study.json").read_text(encoding="utf-8"))
    del saved["definition"]["margin_pp"], saved["definition"]["tune_epochs"]
    (cut / "study.json").write_text(json.dumps(saved), encoding="utf-8")
    assert {run["status"] for run in go_on()["runs"]} == {"finished"}


def test_defaults_that_change_do_not_reach_a_study_that_goes_on(cut, monkeypatch):
    """The rest of an arm runs with the settings of its first part, so that its runs stay comparable."""
    monkeypatch.setitem(arms.PROTOCOL, "batch_size", 7)
    plan = go_on()
    configs = [record.read(cut / run["path"] / "run.json")["config"] for run in plan["runs"]]
    assert [config["batch_size"] for config in configs] == [128] * 6


def test_arms_come_back_from_the_file_as_they_were(tmp_path, data):
    """Names, settings, references, nets, and what was written: for arms of two nets, with every control."""
    algos = [f"{ARM}:lr=0.02", f"{ARM}:hidden=8", "forward-forward"]
    common = {"hidden": (16,), "epochs": 3, "data_dir": "elsewhere"}
    built, specs, _ = arms.build_arms(algos, data, None, common)
    plan = {"schema": study.SCHEMA, "name": "s", "budgets": [study.OWN], "seeds": [0], "runs": []}
    ledger = Ledger(tmp_path, plan, built, print)
    ledger.save()
    restored, again = arms.restore_arms(study.read(tmp_path)["arms"], data, common)
    assert {arm.role for arm in built} == {"arm", "aa", "twin", "control"}
    assert [arm.plan.config for arm in restored] == [arm.plan.config for arm in built]
    for name in ("name", "algo", "net", "written", "role", "reference", "net_key", "slug"):
        assert [getattr(arm, name) for arm in restored] == [getattr(arm, name) for arm in built], name
    assert again == specs


def test_search_that_was_cut_goes_on_as_it_began(run_study, tmp_path):
    """The same settings are fixed, so that the storage takes the worker in, and no trial is made twice."""
    searched = run_study(f"{ARM}:lr=0.02", seeds=1, tune=2, tune_epochs=1)
    saved = study.read(tmp_path / "study")
    for arm, run in zip(saved["arms"], saved["runs"], strict=False):
        arm |= {"search": None, "settings": {**arm["settings"], "weight_decay": 0.0, "optimizer": "adam"}}
        run |= {"status": "planned"}
        shutil.rmtree(tmp_path / "study" / run["path"])
    saved["arms"][2]["settings"]["lr"] = 0.001  # as before the search
    study.write(saved, tmp_path / "study")
    again = run_study(f"{ARM}:lr=0.02", seeds=1, tune=2, tune_epochs=1)
    assert [arm["search"] for arm in again["arms"]] == [arm["search"] for arm in searched["arms"]]
    assert again["warnings"] == searched["warnings"]
