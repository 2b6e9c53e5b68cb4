"""Comparison: paired, ordered, matched runs in processes of their own, that go on after a kill."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_study import SMALL, InProcess

from bpfree import InputError, RunFailed
from bpfree.functional.metrics import METRICS
from bpfree.reports import study as studies
from bpfree.reports.comparisons import POINTS
from bpfree.runs import record as records
from bpfree.studies import arms, compare, workers
from bpfree.training import loop
from energy import EnergyError

ROOT = Path(__file__).parents[2]
RULES = ROOT / "tests" / "system" / "rules"
MF, AGAIN, BP = "mono-forward", "mono-forward again", "backprop"


def record(place: Path, run: dict) -> dict:
    return records.read(place / run["path"] / "run.json")


def of(plan: dict, arm: str, budget: str) -> list[dict]:
    return [run for run in plan["runs"] if (run["arm"], run["budget"]) == (arm, budget)]


def test_reports_tell_every_metric_that_is_a_share_in_points():
    assert set(POINTS) == METRICS.keys() - {"mse", "r2"}  # R2 is no share: it has no lower end


BAD = {
    "no arm": ("", {}, "no arms given"),
    "rule": ("mono-forwrd", {}, "unknown rule 'mono-forwrd': did you mean mono-forward"),
    "no setting": ("mono-forward:joint", {}, "arm 'mono-forward:joint' is not valid: expected rule, or rule:key=value"),
    "unknown setting": ("mono-forward:schedul=joint", {}, "unknown setting 'schedul': did you mean schedule"),
    "setting twice": ("mono-forward:lr=1,lr=2", {}, "lr is given twice"),
    "arm twice": ("mono-forward,mono-forward", {}, "arm mono-forward is given twice: its repeats are the seeds"),
    "range": ("mono-forward:lr=-1", {}, "lr = '-1' is not valid: expected > 0"),
    "seed twice": ("mono-forward", {"seeds": "1,2,1"}, "seed 1 is given twice"),
    "seeds no number": ("mono-forward", {"seeds": "many"}, "seeds 'many' are not valid: expected how many, such as 5"),
    "seeds empty": ("mono-forward", {"seeds": ""}, "seeds '' are not valid: expected how many"),
    "seeds a fraction": ("mono-forward", {"seeds": 2.5}, "seeds 2.5 are not valid: expected how many"),
    "seeds of words": ("mono-forward", {"seeds": ["a"]}, "seeds ['a'] are not valid: expected how many"),
    "kept state of one arm": ("mono-forward:keep=last", {}, "keep belongs to the whole study"),
    "trials without epochs": (
        "mono-forward",
        {"tune_epochs": 0},
        "tune_epochs = 0 is not valid: expected >= 1 (epochs",
    ),
    "margin of nothing": (
        "mono-forward",
        {"margin_pp": 0},
        "margin_pp = 0 is not valid: expected > 0 (percentage",
    ),
    "target of nothing": ("mono-forward", {"target": float("nan")}, "target = nan is not valid"),
    "target of another unit": ("mono-forward", {"target": 97}, "target = 97 is not valid: accuracy and ROC-AUC are"),
    "idle below nothing": ("mono-forward", {"idle_s": -1}, "idle_s = -1 is not valid: expected >= 0 (seconds"),
    "meter": ("mono-forward", {"meter": "nvmll"}, "no energy backend 'nvmll': did you mean nvml"),
    "no seeds": ("mono-forward", {"seeds": 0}, "expected how many, such as 5"),
    "seed as a setting": ("mono-forward", {"seed": 3}, "give --seeds 5"),
    "tune 0": ("mono-forward", {"tune": 0}, "tune = 0 is not valid: expected >= 1 (trials of a search"),
    "jobs 0": ("mono-forward", {"jobs": 0}, "jobs = 0 is not valid"),
    "setting of no arm": ("mono-forward", {"peer": 0.1}, "unknown setting 'peer'"),
    "data": ("mono-forward", {"data": "minst"}, "unknown data 'minst': did you mean mnist"),
    "no data in common": ("mono-forward,forward-gnn", {"data": None}, "forward-gnn on cora): add --data NAME"),
    "net": ("mono-forward", {"net": "mpl"}, "unknown net 'mpl': did you mean mlp"),
    "net that does not fit": ("mono-forward", {"hidden": (99999999999999,)}, "the net does not fit into memory"),
    "control": ("mono-forward", {"controls": ["bakprop"]}, "unknown rule 'bakprop': did you mean backprop"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_writes_nothing(case, run_study, tmp_path):
    algos, changes, message = BAD[case]
    with pytest.raises((InputError, EnergyError)) as caught:
        run_study(algos, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "study").exists()


# The runs -------------------------------------------------------------------------------------------------------------


def test_order_is_there_and_back_again(finished):
    runs = studies.read(finished)["runs"]
    assert [run["order"] for run in runs] == list(range(len(runs)))
    once = [MF, AGAIN, BP]
    for budget in (studies.OWN, studies.MATCHED):
        assert [(run["seed"], run["arm"]) for run in runs if run["budget"] == budget] == [
            *((0, arm) for arm in once),
            *((1, arm) for arm in reversed(once)),
            *((2, arm) for arm in once),
        ]


def test_arm_and_twin_begin_with_the_same_weights_and_see_the_same_batches(finished):
    plan = studies.read(finished)
    for mine, twin in zip(of(plan, MF, studies.OWN), of(plan, BP, studies.OWN), strict=True):
        a, b = record(finished, mine), record(finished, twin)
        assert a["net_key"] == b["net_key"] == plan["arms"][0]["net_key"]
        assert len(a["init_sha256"]) == 1  # the hidden layer; the twin has a classifier above it
        assert a["init_sha256"] == b["init_sha256"][:1]
        assert a["order_sha256"] == b["order_sha256"]
    seeds = [record(finished, run) for run in of(plan, MF, studies.OWN)]
    assert len({extra["init_sha256"][0] for extra in seeds}) == len({extra["order_sha256"] for extra in seeds}) == 3


def test_definition_is_fixed_before_the_first_run(finished, tmp_path, in_process, data):
    """Its SHA-256, over sorted keys without spaces, stands in study.json and in every record, also of runs that were
    made when the study went on."""
    place = Path(shutil.copytree(finished, tmp_path / "study"))
    plan = studies.read(place)
    lost = place / of(plan, BP, studies.MATCHED)[0]["path"]
    shutil.rmtree(lost)
    after = compare.compare(MF, data, out=place, seeds=3, controls=[], **SMALL)
    definition = after["definition"]
    assert definition == plan["definition"]
    assert [arm["name"] for arm in definition["arms"]] == [MF, AGAIN, BP]
    assert definition["budgets"] == [studies.OWN, studies.MATCHED]
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    fixed = {"definition_sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert after["extensions"] == {"study": fixed}
    for run in after["runs"]:
        assert record(place, run)["extensions"]["study"] == {**fixed, "arm": run["arm"]}


def test_arm_that_begins_elsewhere_than_its_twin_leaves_a_warning(tmp_path, run_study):
    (tmp_path / "other.py").write_text(
        "import torch\nfrom bpfree.rules.mono_forward import MonoForward as Base\n\n\nclass Other(Base):\n"
        "    def setup(self):\n        super().setup()\n        torch.nn.init.ones_(self.blocks[0][1].weight)\n"
    )
    plan = run_study(f"{tmp_path}/other.py:Other", seeds=1)
    assert [text for text in plan["warnings"] if "does not begin with the weights of its backprop twin" in text]


def test_repeated_arm_ends_exactly_like_the_first(finished):
    plan = studies.read(finished)
    for budget in plan["budgets"]:
        for one, two in zip(of(plan, MF, budget), of(plan, AGAIN, budget), strict=True):
            a, b = record(finished, one)["result"], record(finished, two)["result"]
            assert a == b


@pytest.mark.parametrize("arm", [f"{MF}:schedule=sequential", "cafo"])
def test_matched_budget_is_what_the_twin_needed(run_study, tmp_path, arm):
    """The twin stops early; at matched passes every arm sees the data as often as that, in two phases or in one, with
    the passes that fill a cache: one for every predictor of cafo, the first included."""
    plan = run_study(arm, epochs=9, patience=1, hidden=(16, 8), lr=0.05, seeds=2)
    place = tmp_path / "study"
    needed = [record(place, run)["result"]["data_passes"] for run in of(plan, BP, studies.OWN)]
    (passes,) = plan["passes"].values()
    assert passes == sum(needed) / len(needed)
    for run in of(plan, BP, studies.MATCHED):
        assert record(place, run)["result"]["data_passes"] == -(-passes // 1)
    for run in of(plan, arm, studies.MATCHED):
        assert passes <= record(place, run)["result"]["data_passes"] < passes + 2
    configs = [record(place, run)["config"] for run in plan["runs"] if run["budget"] == studies.OWN]
    assert {(config["epochs"], config["patience"], config["min_delta"]) for config in configs} == {(9, 1, 0.0)}


def test_passes_are_matched_where_nothing_is_cached(run_study, tmp_path):
    """With shifted images a frozen prefix is computed batch by batch: no pass of its own counts."""
    plan = run_study(f"{MF}:schedule=sequential", epochs=7, patience=None, hidden=(16, 8), shift=1, seeds=1)
    for run in of(plan, f"{MF}:schedule=sequential", studies.MATCHED):
        made = record(tmp_path / "study", run)
        assert set(made["prefixes"].values()) == {"none", "recomputed"}
        assert made["result"]["data_passes"] == 8  # 4 epochs in each of two phases, for 7 of the twin


def test_finished_runs_are_not_run_again_and_missing_ones_are(finished, tmp_path, in_process, data):
    place = Path(shutil.copytree(finished, tmp_path / "study"))
    before = {path: path.read_bytes() for path in place.glob("runs/*/*/*/run.json")}
    plan = studies.read(place)
    lost, cut = plan["runs"][4], plan["runs"][7]
    shutil.rmtree(place / lost["path"])
    cut["status"] = "running"  # the study was killed while this one ran
    (place / cut["path"] / "run.json").unlink()
    studies.write(plan, place)
    after = compare.compare(MF, data, out=place, seeds=3, controls=[], **SMALL)
    assert {run["status"] for run in after["runs"]} == {"finished"}
    changed = [path for path, text in before.items() if path.read_bytes() != text]
    assert {path.parent for path in changed} == {place / run["path"] for run in (lost, cut)}
    for path in changed:  # begun anew, to the same end
        assert json.loads(path.read_bytes())["result"] == json.loads(before[path])["result"]
        assert json.loads(path.read_bytes())["resumes"] == 0


def test_runs_side_by_side_are_counted_whenever_they_began(finished, tmp_path, in_process, data):
    place = Path(shutil.copytree(finished, tmp_path / "study"))
    assert studies.read(place)["concurrent_runs"] == 1
    compare.compare(MF, data, out=place, seeds=3, controls=[], jobs=4, **SMALL)
    assert studies.read(place)["concurrent_runs"] == 4


def test_data_without_a_test_part_are_refused(run_study, data, tmp_path):
    with np.load(data.removeprefix("npz:")) as file:
        np.savez(tmp_path / "train.npz", x_train=file["x_train"], y_train=file["y_train"])
    with pytest.raises(InputError, match="has no test part, on which a comparison is judged"):
        run_study(MF, data=f"npz:{tmp_path / 'train.npz'}")
    assert not (tmp_path / "study").exists()


def test_study_of_another_kind_is_not_gone_on_with(finished, in_process, data):
    for changes, message in (
        ({"seeds": 4}, r"was started with seeds = \[0, 1, 2\], not \[0, 1, 2, 3\]"),
        ({"lr": 0.1}, "was started with settings = "),
        ({"quick": True}, "was started with quick = False, not True"),
    ):
        with pytest.raises(InputError, match=message):
            compare.compare(MF, data, out=finished, **{"seeds": 3, "controls": [], **SMALL, **changes})


def test_study_typed_on_the_command_line_goes_on_from_python(finished, tmp_path, in_process, data):
    """Flags are text; a study of an earlier version kept them so."""
    place = Path(shutil.copytree(finished, tmp_path / "study"))
    plan = studies.read(place)
    plan["definition"]["settings"] |= {"hidden": "16", "epochs": "2", "threads": "1"}
    studies.write(plan, place)
    typed = {**SMALL, "hidden": [16], "epochs": "2"}
    after = compare.compare(MF, data, out=place, seeds=3, controls=[], **typed)
    assert after["definition"]["settings"] == {"hidden": [16], "epochs": 2, "threads": 1, "device": "cpu"}
    assert {run["status"] for run in after["runs"]} == {"finished"}
    with pytest.raises(InputError, match="was started with settings = "):
        compare.compare(MF, data, out=place, seeds=3, controls=[], **{**typed, "epochs": "3"})


def test_study_that_names_no_folder_has_one_of_its_own(run_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = run_study(out=None, seeds=1)
    assert re.fullmatch(r"runs.study-npz-digits-[0-9a-f]{6}", plan.pop("folder"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert studies.read(folder) == plan


def test_folder_that_holds_something_else_is_left_alone(run_study, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and holds no study: choose another --out"):
        run_study()
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["note.txt"]


def test_failed_arm_does_not_stop_the_others_and_is_tried_again(run_study, tmp_path):
    arm = f"{RULES}/wrong.py:NanLater"
    plan = run_study(f"{MF},{arm}", seeds=1)
    runs = {(run["arm"], run["budget"]): run for run in plan["runs"]}
    for budget in plan["budgets"]:
        assert runs[arm, budget]["status"] == "failed"
        assert "became nan" in runs[arm, budget]["error"]
        assert runs[MF, budget]["status"] == runs[BP, budget]["status"] == "finished"
    assert (tmp_path / "study" / "report.html").exists()


@pytest.mark.parametrize("edited", ["class Edited(", "lr 0.01 -> 0.07"], ids=["half-typed", "valid"])
def test_rule_that_is_edited_meanwhile_changes_nothing_that_is_written(run_study, tmp_path, edited):
    """A study goes on past an edit that cannot be executed, and keeps the settings that its runs began with."""
    file, lines = tmp_path / "edited.py", []
    text = (
        "from bpfree.config.settings import setting, settings\n"
        "from bpfree.rules.mono_forward import MonoForward, Settings\n\n\n"
        "@settings\nclass Tuned(Settings):\n    lr: float = setting(0.01, 'step size', gt=0)\n\n\n"
        "class Edited(MonoForward):\n    Settings = Tuned\n"
    )
    file.write_text(text)

    def edit(line: str) -> None:
        lines.append(line)
        if line.startswith("[1/"):  # the first run has ended
            file.write_text(text.replace("0.01", "0.07") if edited.startswith("lr") else edited)

    plan = run_study(f"{file}:Edited", seeds=1, say=edit)
    assert "[1/6]" in "".join(lines)
    assert plan["arms"][0]["settings"]["lr"] == 0.01
    assert [run["status"] for run in of(plan, BP, studies.OWN) + of(plan, BP, studies.MATCHED)] == ["finished"] * 2
    assert studies.read(tmp_path / "study")["arms"] == plan["arms"]


def test_matched_budget_without_a_twin_says_so(run_study, monkeypatch):
    monkeypatch.setattr(arms, "BASELINE", f"{RULES}/wrong.py:NanLater")
    plan = run_study(seeds=1)
    late = of(plan, MF, studies.MATCHED)
    assert [run["status"] for run in late] == ["failed"]
    assert "has no finished run whose passes it could match" in late[0]["error"]


def test_search_is_equal_for_all_arms_and_its_cost_is_kept_apart(run_study, tmp_path):
    plan = run_study(f"{MF}:lr=0.02", seeds=1, tune=2, tune_epochs=1)
    by_role = {arm["role"]: arm for arm in plan["arms"]}
    for role in ("arm", "twin"):
        assert by_role[role]["search"]["trials"] == 2
        assert by_role[role]["search"]["cost"]["data_passes"] == 2
    assert by_role["aa"]["search"] is None
    assert set(by_role["arm"]["search"]["params"]) == {"optimizer", "weight_decay"}  # lr is given
    assert set(by_role["twin"]["search"]["params"]) == {"optimizer", "lr", "weight_decay"}
    for run in plan["runs"]:
        source = by_role["arm"] if run["arm"] != BP else by_role["twin"]
        config = record(tmp_path / "study", run)["config"]
        params = source["search"]["params"]
        assert {key: config[key] for key in params} == params
    assert by_role["aa"]["settings"] == by_role["arm"]["settings"]


def test_backprop_in_less_memory_has_the_twins_search_and_results(run_study, tmp_path):
    """Its gradient is the twin's to the rounding of float32; what its search would have cost is not counted twice."""
    less = ["backprop:accumulate=4", "backprop:checkpointing=true"]
    plan = run_study(seeds=1, tune=2, tune_epochs=1, controls=less)
    by_name = {arm["name"]: arm for arm in plan["arms"]}
    (twin,) = (record(tmp_path / "study", run) for run in of(plan, BP, studies.OWN))
    for name in less:
        assert by_name[name]["search"] == {**by_name[BP]["search"], "cost": {}, "of": BP}
        (run,) = of(plan, name, studies.OWN)
        assert of(plan, name, studies.MATCHED) == []
        mine = record(tmp_path / "study", run)
        assert mine["config"]["lr"] == twin["config"]["lr"]
        assert mine["init_sha256"] == twin["init_sha256"]
        for entry, other in zip(mine["history"], twin["history"], strict=True):
            assert entry["loss"]["net"] == pytest.approx(other["loss"]["net"], rel=1e-3)
    assert not list((tmp_path / "study" / "tune").glob("*accumulate*"))


def test_all_backprop_study_matches_the_passes_of_its_twin(run_study, tmp_path):
    arms = [f"{BP}:lr=0.001", f"{BP}:lr=0.00100001"]
    plan = run_study(",".join(arms), seeds=1)
    assert [arm["role"] for arm in plan["arms"]] == ["twin", "aa", "arm"]
    assert list(plan["passes"].values()) == [2.0]
    assert {run["status"] for run in plan["runs"]} == {"finished"}


def test_search_in_which_all_trials_diverge_leaves_a_warning(run_study):
    plan = run_study(f"{MF}:lr=1e30", seeds=1, tune=1, tune_epochs=1)
    assert f"{MF}:lr=1e30: no trial of its search ended well: its settings are the defaults" in plan["warnings"]


def test_search_that_is_stopped_leaves_no_warning(run_study, monkeypatch):
    """Its process may die of the signal; the arm is searched when the study goes on."""

    class Stopped(InProcess):
        def run(self, call: str, values: dict) -> dict:
            self.stopped = call == "bpfree.studies.tune:tune"
            killed = {"error": "its process was killed by SIGTERM", "code": 1}
            return killed if self.stopped else super().run(call, values)

    monkeypatch.setattr(compare, "Worker", Stopped)
    plan = run_study(seeds=1, tune=1, tune_epochs=1)
    assert plan["warnings"] == []
    assert [arm["search"] for arm in plan["arms"]] == [None] * 3


def test_quick_study_is_small_and_says_so(in_process, tmp_path):
    plan = compare.compare(
        MF, out=tmp_path / "study", seeds=1, controls=[], quick=True, subset=20, epochs=1, threads=1, meter="none"
    )
    assert plan["quick"] is True
    assert plan["arms"][0]["settings"]["subset"] == 20  # what is given counts more than what quick says
    assert plan["arms"][0]["settings"]["hidden"] == [256, 256]
    assert "budget reached, not converged" in (tmp_path / "study" / "report.md").read_text()


@pytest.mark.parametrize("jobs", [1, 3])
def test_runs_go_side_by_side_only_where_the_meter_can_tell_them_apart(jobs, monkeypatch):
    monkeypatch.setattr(workers, "_visible_gpus", lambda: ["GPU-a", "GPU-b"])
    alone = [{}]
    each = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("GPU-a", "GPU-b")]
    assert workers.environments(jobs, "nvml", "auto")[0] == (each if jobs > 1 else alone)
    assert workers.environments(jobs, "none", "cpu")[0] == alone * jobs
    for meter, device in (("auto", "auto"), ("rapl", "auto"), ("nvml", "cpu")):
        environs, notes = workers.environments(jobs, meter, device)
        assert environs == alone
        assert [f"the runs went one by one, not {jobs} at a time" in note for note in notes] == [True] * (jobs > 1)


# Processes ------------------------------------------------------------------------------------------------------------


def test_study_that_is_killed_goes_on(data, tmp_path):
    """SIGKILL in the middle of a run; the same command then does what is left, in processes of their own."""
    order = ["--algos", MF, "--data", data, "--seeds", "2", "--controls", "none", "--hidden", "16", "--epochs", "2"]
    order += ["--threads", "1", "--meter", "none", "--out", "study"]
    command = [sys.executable, "-m", "bpfree", "compare", *order]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True)
    assert first.stderr
    ended = [line for line in iter(first.stderr.readline, "") if line.startswith("[") and _kill_after(line, 3, first)]
    first.wait(60)
    assert (first.returncode, ended) == (-signal.SIGKILL, [])
    kept = {path: path.read_bytes() for path in tmp_path.glob("study/runs/*/*/*/run.json")}
    kept = {path: text for path, text in kept.items() if json.loads(text)["status"] == "finished"}
    assert len(kept) >= 3
    for _ in range(60):  # the run that was going on notices that nobody waits for it, saves, and lets the study go
        again = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
        if "another process is working in study" not in again.stderr:
            break
        time.sleep(0.5)
    assert again.returncode == 0, again.stderr
    plan = studies.load(tmp_path / "study")
    assert [run.status for run in plan.runs] == ["finished"] * 12
    assert {path: path.read_bytes() for path in kept} == kept


def _kill_after(line: str, runs: int, process: subprocess.Popen) -> bool:
    """Kill the study when so many runs are done; whether the line is about a later one."""
    done = int(line[1:].partition("/")[0])
    if done == runs:
        process.kill()
    return done > runs + 1  # one more may have ended meanwhile


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system needs root: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_disk_that_fills_up_ends_in_one_line_and_keeps_what_is_finished(small_disk, run_study):
    with contextlib.suppress(RunFailed):  # when not even study.json could be written any more
        run_study(out=small_disk / "study", seeds=3)
    plan = studies.read(small_disk / "study")
    states = [run["status"] for run in plan["runs"]]
    assert "finished" in states
    assert len(set(states)) > 1
    for run in plan["runs"]:
        if run["status"] == "finished":
            assert record(small_disk / "study", run)["status"] == "finished"
        if run["status"] == "failed":
            assert "could not write" in run["error"]


def test_a_study_tells_each_note_of_its_runs_once(monkeypatch, run_study, tmp_path, caplog):
    """The runs, here in this process, are silenced as a worker's are; four of them have the same notes."""
    monkeypatch.setattr(loop, "tell", lambda line: None)
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "t.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    run_study("backprop", data=f"npz:{tmp_path / 't.npz'}")
    records_ = [records.read(file) for file in (tmp_path / "study").rglob("run.json")]
    notes = {line for made in records_ for lines in made["extensions"]["notes"].values() for line in lines}
    assert len(records_) > 1
    assert len(notes) > 0
    assert sorted(caplog.messages) == sorted(notes)
