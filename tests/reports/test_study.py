"""Studies and their validity: what is refused, what is gathered, and each fault that has spoiled a study."""

import copy
import json
from pathlib import Path

import pytest
import study_doubles as doubles

from bpfree.errors import InputError
from bpfree.reports import study, tables
from bpfree.reports.build import build
from bpfree.reports.gathering import collect
from bpfree.reports.validity import faults
from bpfree.runs import record

ARMS = {"mine": {}, "backprop": {"role": "twin"}}


def plan(**changes) -> dict:
    arms = [{"name": "mine", "algo": "mine", "net_key": "net"}]
    base = {"schema": study.SCHEMA, "name": "s", "arms": arms, "budgets": [study.OWN], "seeds": [0, 1]}
    return {**base, **changes}


def test_what_is_written_is_what_is_read(tmp_path):
    written = study.write(plan(target=0.97, note="kept"), tmp_path)
    assert study.read(tmp_path) == written
    assert (written["margin_pp"], written["arms"][0]["role"], written["note"]) == (0.25, "arm", "kept")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": "bpfree-study/9"}, "'bpfree-study/9'; this version reads and writes 'bpfree-study/2'"),
        ({"seeds": [1, 2, 1]}, "seed 1 given twice"),
        ({"arms": plan()["arms"] * 2}, "arm mine given twice"),
        ({"margin_pp": 0}, "margin_pp"),
        ({"extensions": {"co_tenants": 2}}, "extensions.co_tenants"),
        ({"concurrent_runs": 0}, "concurrent_runs"),
        ({"arms": [{"name": "a", "algo": "a", "role": "boss"}]}, "arms.0.role"),
        ({"runs": [{"arm": "x", "seed": 0, "budget": "b", "path": "p", "status": "planned"}]}, "runs of x"),
    ],
)
def test_a_study_that_does_not_fit_is_refused_in_one_line(tmp_path, changes, named):
    with pytest.raises(InputError) as error:
        study.write(plan(**changes), tmp_path)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_extensions_are_kept_under_their_names(tmp_path):
    written = study.write(plan(extensions={"co_tenants": {"count": 2}}), tmp_path)
    assert study.read(tmp_path)["extensions"] == {"co_tenants": {"count": 2}} == written["extensions"]


def test_a_record_edited_by_hand_is_named(tmp_path):
    doubles.write(tmp_path, ARMS, doubles.run)
    path = tmp_path / "runs" / "mine-s1" / "run.json"
    path.write_text(path.read_text().replace('"test": 0.98', '"test": 0.99'))
    with pytest.raises(InputError, match=r"mine-s1/run.json was changed after it was written"):
        study.load(tmp_path)


def test_a_run_that_failed_and_one_whose_record_is_gone_leave_warnings(tmp_path):
    doubles.write(tmp_path, ARMS, lambda arm, seed: None if (arm, seed) == ("mine", 0) else doubles.run(arm, seed))
    (tmp_path / "runs" / "mine-s1" / "run.json").unlink()
    found = study.load(tmp_path)
    assert [run.status for run in found.of("mine", study.OWN)] == ["failed", "failed", "finished"]
    assert "mine, own convergence, seed 0: failed (the loss became NaN)" in found.warnings
    assert any("its record runs/mine-s1/run.json is missing" in text for text in found.warnings)


def test_a_run_that_was_killed_is_no_running_one(tmp_path):
    """Its record could not say more than that it runs; the study saw how its process ended."""
    doubles.write(tmp_path, ARMS, lambda arm, seed: doubles.run(arm, seed, status="running"))
    plan = study.read(tmp_path)
    plan["runs"][0] |= {"status": "failed", "error": "its process was killed by SIGKILL"}
    study.write(plan, tmp_path)
    found = study.load(tmp_path)
    assert [run.status for run in found.runs] == ["failed", *["running"] * 5]
    assert "mine, own convergence, seed 0: failed (its process was killed by SIGKILL)" in found.warnings


def loose(folder: Path, name: str, made: dict) -> Path:
    (folder / name).mkdir(parents=True)
    record.write(made, folder / name / "run.json")
    return folder / name


def test_loose_runs_are_grouped_by_their_configuration_without_the_seed(tmp_path):
    for seed in (0, 1):
        for lr in (0.1, 0.2):
            loose(tmp_path, f"mine-{lr}-{seed}", doubles.run("mine", seed, config={"lr": lr}))
        loose(tmp_path, f"backprop-{seed}", doubles.run("backprop", seed))
    found = collect([tmp_path])
    assert set(found.arms) == {"mine:lr=0.1", "mine:lr=0.2", "backprop"}
    assert [run.seed for run in found.of("mine:lr=0.2", study.AS_RUN)] == [0, 1]
    assert found.arms["backprop"]["net_key"] == "net"
    assert "not planned as one study" in found.warnings[0]


def test_a_run_given_twice_counts_once(tmp_path):
    one = loose(tmp_path, "a", doubles.run("mine", 0))
    assert len(collect([one, tmp_path, one]).runs) == 1


def test_studies_and_loose_runs_come_together(tmp_path):
    doubles.write(tmp_path / "study", ARMS, doubles.run)
    loose(tmp_path / "more", "x", doubles.run("other", 0))
    found = collect([tmp_path / "study", tmp_path / "more"])
    assert set(found.arms) == {"mine", "backprop", "other"}
    assert len(found.runs) == 7


def test_studies_together_keep_what_each_said_and_leave_repeats_out(tmp_path):
    """An A/A run has the configuration of the arm it repeats, and is no second run of a seed."""
    arms = {"mine": {}, "mine again": {"algo": "mine", "role": "aa", "twin_of": "mine"}}

    def run(arm: str, seed: int) -> dict | None:
        return None if (arm, seed) == ("mine", 2) else doubles.run("mine", seed, started=arm)

    doubles.write(tmp_path / "one", arms, run, quick=True)
    doubles.write(tmp_path / "two", {"backprop": {}}, doubles.run)
    found = collect([tmp_path])
    assert sorted((run.arm, run.seed, run.status) for run in found.runs) == [
        *[("backprop", seed, "finished") for seed in (0, 1, 2)],
        *[("mine", seed, "finished") for seed in (0, 1)],
        ("mine", 2, "failed"),
    ]
    assert found.plan["quick"]
    assert any("mine, own convergence, seed 2: failed (the loss became NaN)" in text for text in found.warnings)
    assert not any("counts 2 times" in text for text in texts(found))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: (path / "empty").mkdir()])
def test_a_folder_without_runs_is_refused(tmp_path, make):
    make(tmp_path)
    with pytest.raises(InputError, match=r"holds no run: expected study.json or run.json"):
        collect([tmp_path])


# Faults ---------------------------------------------------------------------------------------------------------------


def texts(study: study.Study) -> list[str]:
    return [fault.text for fault in faults(study)]


def faults_of(folder: Path, change, arms=ARMS, **plan_changes) -> list[str]:
    """Faults of a sound study of two arms and three seeds after ``change(record, arm, seed)``."""

    def run(arm: str, seed: int) -> dict:
        made = doubles.run(
            arm, seed, test=0.97 + seed / 1000 + 0.0005 * (arm == "mine"), train_s=10 + seed + 5 * len(arm)
        )
        change(made, arm, seed)
        return made

    return texts(doubles.write(folder, arms, run, **plan_changes))


def put(*path, value, arm=None, seed=None):
    """A change that sets one entry of the records of an arm and seed (None: all)."""

    def change(made: dict, its_arm: str, its_seed: int) -> None:
        if arm in (None, its_arm) and seed in (None, its_seed):
            part = made
            for key in path[:-1]:
                part = part[key]
            part[path[-1]] = copy.deepcopy(value(made) if callable(value) else value)

    return change


def test_a_sound_study_has_no_fault(tmp_path):
    assert faults_of(tmp_path, lambda *_: None) == []


MINE = "mine, own convergence"
CO2 = {"kg": 1e-5, "method": "derived", "energy_j": 123.0, "g_per_kwh": 100.0, "source": "x"}
CASES = {
    "a seed that was run twice": (put("seed", value=0, arm="mine", seed=1), f"{MINE}: seed 0 counts 2 times"),
    "a checkpoint that two seeds share": (
        put("result", "predictions_sha256", value="f" * 64, arm="mine"),
        "seeds 0, 1 and 2 predict exactly the same on the test data but differ on validation data: a checkpoint is",
    ),
    "another rule to stop by": (put("config", "patience", value=20, arm="mine"), "do not stop by one rule"),
    "another state that is kept": (put("config", "keep", value="last", arm="mine"), "do not stop by one rule"),
    "data that changed on the way": (
        put("data", "sha256", value="1" * 64, arm="mine", seed=2),
        "mine: its runs are not of one data set",
    ),
    "a rule that changed on the way": (
        put("algo_sha256", value="1" * 64, arm="mine", seed=2),
        "mine: its runs are not of one version of its rule",
    ),
    "a run on another net": (
        put("net_key", value="another", arm="mine", seed=2),
        "mine, seed 2, own convergence: its record is of mine on another net or other data than the arm's",
    ),
    "a run of another arm": (
        put("algo", value="backprop", arm="mine", seed=2),
        "mine, seed 2, own convergence: its record is of backprop",
    ),
    "checkpoints inside one arm's window": (
        put("energy", value=lambda r: {k: v for k, v in r["energy"].items() if k != "save"}, arm="mine"),
        "mine: no window 'save', unlike backprop",
    ),
    "memory with the context in it": (
        put("memory", "method", value="NVML, whole device", arm="mine"),
        "mostly the CUDA context",
    ),
    "parameters that nothing uses": (
        put("parameters", "trained", value=1500, arm="backprop"),
        "backprop: the baseline carries 500 parameters that no prediction uses",
    ),
    "CO2 of another run": (put("co2e", value=CO2, arm="mine", seed=2), "its CO2e is of 123 J, which is not the energy"),
    "selection on test data": (
        put("result", "val", value=lambda r: r["result"]["test"], arm="mine"),
        f"{MINE}: validation and test results are equal in every run",
    ),
    "no validation data": (put("data", "rows", value={"train": 9, "val": 0, "test": 500}), "no validation rows"),
    "test data in every epoch": (put("history", 0, "test", value=0.5, arm="mine", seed=0), "looked at in every epoch"),
    "a spread of nothing": (
        put("result", "test", value=0.9712, arm="mine"),
        f"{MINE}: 3 seeds give one test result to the last digit",
    ),
    "a copied time": (put("time", "train_s", value=11.5, arm="mine"), "took the same time to the last digit"),
    "two runs at once on one meter": (
        lambda made, arm, seed: made.update(started=f"2026-01-01T00:00:0{seed}", ended="2026-01-01T00:00:05"),
        "ran at the same time as another run on one meter",
    ),
    "another initial net": (
        put("init_sha256", value=lambda r: [r["algo"]]),
        "do not begin with the same weights",
    ),
    "another order of the data": (
        put("order_sha256", value=lambda r: r["algo"]),
        "do not see the data in the same order",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_found(tmp_path, name):
    change, words = CASES[name]
    found = faults_of(tmp_path, change)
    assert any(words in text for text in found), found
    assert all("\n" not in text for text in found)


def test_two_machines_have_two_meters_of_one_name(tmp_path):
    change, _ = CASES["two runs at once on one meter"]

    def elsewhere(made, arm, seed):
        change(made, arm, seed)
        made["device"]["boot"] = f"machine {seed}"

    assert not [text for text in faults_of(tmp_path, elsewhere) if "seed 0" in text and "seed 1" in text]


def test_a_run_with_other_settings_than_its_arm_is_found(tmp_path):
    arms = {"mine": {"settings": {"lr": 0.1}}, "backprop": {"role": "twin"}}
    change = put("config", "lr", value=lambda r: 0.2 if r["seed"] == 1 else 0.1, arm="mine")
    assert faults_of(tmp_path, change, arms) == [
        "mine, seed 1, own convergence: it ran with lr = 0.2, and the arm says 0.1"
    ]


def test_unequal_search_is_found(tmp_path):
    arms = {"mine": {"search": {"trials": 50, "cost": {}}}, "backprop": {"role": "twin", "search": {"trials": 10}}}
    assert "equal search budgets (trials: mine 50, backprop 10)" in faults_of(tmp_path, lambda *_: None, arms)[0]


def test_unequal_data_passes_are_found(tmp_path):
    change = put("result", "data_passes", value=9.0, arm="mine")
    assert "equally many data passes (mine 9, backprop 5)" in faults_of(tmp_path, change, budget=study.MATCHED)[0]


def test_a_stated_spread_that_cannot_come_from_the_runs_is_found(tmp_path):
    """The runs of mine are 97.05, 97.15, 97.25 %: mean 97.15, sd 0.10."""
    stated = [{"arm": "mine", "budget": study.OWN, "mean": 0.9715, "sd": 0.0005, "n": 3, "digits": 4}]
    assert "is stated, but cannot come from its runs" in faults_of(tmp_path / "a", lambda *_: None, stated=stated)[0]
    stated[0]["sd"] = 0.001
    assert faults_of(tmp_path / "b", lambda *_: None, stated=stated) == []


def test_two_arms_that_predict_the_same_are_one(tmp_path):
    arms = {"mine": {}, "backprop": {"role": "twin", "settings": {"lr": 0.1}}}
    change = put("result", "predictions_sha256", value=lambda r: str(r["seed"]))
    assert "one arm tested the other's weights" in faults_of(tmp_path, change, arms)[0]


def test_one_folder_cannot_be_two_runs(tmp_path):
    doubles.write(tmp_path, ARMS, doubles.run)
    written = json.loads((tmp_path / "study.json").read_text())
    written["runs"][2]["path"] = written["runs"][0]["path"]
    study.write(written, tmp_path)
    assert any("have one folder: they are one run" in text for text in texts(study.load(tmp_path)))


def test_runs_that_failed_alike_make_one_warning(tmp_path):
    doubles.write(tmp_path, ARMS, lambda arm, seed: None if arm == "mine" else doubles.run(arm, seed))
    found = study.load(tmp_path)
    assert found.warnings == ["mine, own convergence, seeds 0, 1, 2: failed (the loss became NaN)"]


def test_balanced_accuracy_stands_beside_accuracy_where_one_class_is_frequent(tmp_path):
    """Of two classes one has 90 % of the rows: naming it alone is 90 % accurate, and right for half of the classes."""

    def run(arm: str, seed: int) -> dict:
        metrics = {"balanced_accuracy": 0.5, "majority_share": 0.9}
        made = doubles.run(arm, seed, test=0.9, extensions={"metrics": metrics})
        return {**made, "data": {**made["data"], "classes": 2}}

    text, even = (
        tables.markdown(build(doubles.write(tmp_path / name, doubles.ARMS, made)))
        for name, made in (("skewed", run), ("even", doubles.run))
    )
    assert "Balanced accuracy" in text
    assert "50 ± 0 %" in text
    assert "The most frequent class alone gives 90.00 % accuracy." in text
    assert "Balanced accuracy" not in even
