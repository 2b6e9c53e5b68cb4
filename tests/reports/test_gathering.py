"""bpfree.reports.gathering: what voided a claim stays void when folders are gathered, moved, or given in part."""

import json
import shutil
from pathlib import Path

import pytest
import sound
import study_doubles as doubles
from sound import put, verdicts

from bpfree.reports import study
from bpfree.reports.build import build
from bpfree.reports.gathering import collect
from bpfree.reports.validity import faults
from bpfree.runs.record import sha256_of

AA = {**sound.ARMS, "mine again": {"role": "aa", "algo": "mine", "twin_of": "mine"}}


def write(folder: Path, change=lambda *_: None, arms=sound.ARMS, seeds=sound.SEEDS, **plan) -> Path:
    def run(arm: str, seed: int) -> dict | None:
        made = sound.record(arm.removesuffix(" again"), seed)
        return None if change(made, arm, seed) == "failed" else made

    doubles.write(folder, arms, run, seeds, **plan)
    return folder


def other(folder: Path) -> Path:
    """A study of other seeds and another rule, without a fault."""

    def run(arm: str, seed: int) -> dict:
        return doubles.run("third", seed, test=0.9 + seed / 999, train_s=40 + seed)

    doubles.write(folder, {"third": {}}, run, range(7, 12))
    return folder


def void(*paths: Path) -> set[str]:
    made = build(collect(paths))
    return {measure for measure, c in verdicts(made).items() if c["verdict"] == "cannot conclude"}


@pytest.mark.parametrize("part", ["runs", "runs/mine-s0"])
def test_a_folder_of_a_study_stands_for_all_of_it(tmp_path, part):
    """Not every seed is given, and the search of the arms is not in their records."""
    tuned = {"mine": {"search": {"trials": 50}}, "backprop": {"role": "twin", "search": {"trials": 10}}}
    home = write(tmp_path / "study", arms=tuned)
    gathered = collect([home / part])
    assert gathered.plan["name"] == "a study of doubles"
    assert len(gathered.runs) == 10
    assert void(home / part) == {"test", "energy_j", "train_s"}


def test_a_search_that_was_unequal_stays_so_beside_another_study(tmp_path):
    tuned = {"mine": {"search": {"trials": 50}}, "backprop": {"role": "twin", "search": {"trials": 10}}}
    home = write(tmp_path / "study", arms=tuned)
    assert void(home, other(tmp_path / "other")) == {"test", "energy_j", "train_s"}


def test_an_aa_arm_that_differs_voids_beside_another_study(tmp_path):
    """The repeat of mine draws 20 % more: nothing is said of energies, though the repeat itself is not gathered."""

    def change(made: dict, arm: str, seed: int) -> None:
        if arm == "mine again":
            made |= doubles.run("mine", seed, test=0.97 + seed / 998, watts=120 + seed / 9, train_s=9 + seed / 3)

    home = write(tmp_path / "study", change, AA)
    gathered = [home, other(tmp_path / "other")]
    assert "energy_j" in void(home)
    assert void(home) <= void(*gathered)
    assert (
        "the A/A arm, which repeats mine, differs from it" in verdicts(build(collect(gathered)))["energy_j"]["because"]
    )


def test_runs_that_failed_are_told_beside_another_study(tmp_path):
    home = write(tmp_path / "study", lambda _, arm, seed: "failed" if (arm, seed) == ("mine", 4) else None)
    made = build(collect([home, other(tmp_path / "other")]))
    assert "4 of 5 seeds of mine finished" in verdicts(made)["train_s"]["sentence"]


def test_the_narrowest_margin_and_the_most_runs_at_once_are_kept(tmp_path):
    one = write(tmp_path / "one", margin_pp=0.1, concurrent_runs=3)
    gathered = collect([one, other(tmp_path / "other")])
    assert gathered.plan["margin_pp"] == 0.1
    assert gathered.plan["concurrent_runs"] == 3


def test_a_study_beside_another_concludes_what_it_concluded(tmp_path):
    assert void(write(tmp_path / "study"), other(tmp_path / "other")) == set()


# The definition -------------------------------------------------------------------------------------------------------


def defined(folder: Path) -> Path:
    """A study with its definition in it and the definition's hash in each record, as `compare` writes it."""
    arms = [{"name": name, "algo": name, "role": about.get("role", "arm")} for name, about in sound.ARMS.items()]
    same = {"quick": False, "margin_pp": 0.25, "target": None, "data": "digits", "seeds": list(sound.SEEDS)}
    definition = {"algos": ["mine"], **same, "tune": 8, "budgets": [study.OWN], "arms": arms}
    about = {"definition_sha256": sha256_of(definition)}
    tuned = {name: {**about, "search": {"trials": 8}} for name, about in sound.ARMS.items()}

    def change(made: dict, arm: str, seed: int) -> None:
        made["extensions"] = {"study": {**about, "arm": arm}}

    write(folder, change, tuned, definition=definition, extensions={"study": about})
    written = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**written, "definition": definition}))
    return folder


def edit(folder: Path, change) -> Path:
    plan = json.loads((folder / "study.json").read_text())
    change(plan)
    (folder / "study.json").write_text(json.dumps(plan))
    return folder


def test_a_study_that_was_not_edited_has_no_fault(tmp_path):
    assert faults(study.load(defined(tmp_path))) == []


def without_backprop(plan: dict) -> None:
    plan["arms"] = [arm for arm in plan["arms"] if arm["name"] != "backprop"]
    plan["runs"] = [run for run in plan["runs"] if run["arm"] != "backprop"]


def without_seed_4(plan: dict) -> None:
    plan["seeds"] = plan["definition"]["seeds"] = [0, 1, 2, 3]
    plan["runs"] = [run for run in plan["runs"] if run["seed"] != 4]


EDITS = {
    "quick": (lambda plan: plan.update(quick=True), "quick is True and was False"),
    "margin": (lambda plan: plan.update(margin_pp=2.0), "margin_pp is 2.0 and was 0.25"),
    "target": (lambda plan: plan.update(target=0.9), "target is 0.9 and was None"),
    "search": (
        lambda plan: plan["arms"][0]["search"].update(trials=50),
        "search of mine has 50 trials and was to have 8",
    ),
    "arms": (without_backprop, "arm backprop was taken out"),
    "role": (lambda plan: plan["arms"][0].update(role="control"), "role of arm mine is control and was arm"),
    "both": (
        lambda plan: [part.update(margin_pp=2.0) for part in (plan, plan["definition"])],
        "the definition in study.json was edited after the study was begun",
    ),
    "seeds": (without_seed_4, "runs in the folder of the study are not listed in it: runs/backprop-s4 and 1 more"),
    "hash": (lambda plan: plan.pop("extensions"), "study.json carries no hash of its definition, and its runs do"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_the_study_is_named_and_voids_all(tmp_path, name):
    change, words = EDITS[name]
    loaded = study.load(edit(defined(tmp_path), change))
    assert any(words in fault.text for fault in faults(loaded)), faults(loaded)
    assert all(c["verdict"] == "cannot conclude" for c in verdicts(build(loaded)).values())


def test_a_run_of_another_study_is_named(tmp_path):
    home = defined(tmp_path / "study")
    record = {**sound.record("mine", 0), "extensions": {"study": {"definition_sha256": "0" * 64, "arm": "mine"}}}
    doubles.record.write(record, home / "runs" / "mine-s0" / "run.json")
    (fault,) = faults(study.load(home))
    assert (
        "mine, seed 0, own convergence: made under definition 000000000000, not under that of this study" in fault.text
    )


def test_runs_moved_away_from_their_study_conclude_nothing(tmp_path):
    """Their records say that a study planned them; what it says against them cannot be seen."""
    shutil.copytree(defined(tmp_path / "study") / "runs", tmp_path / "moved")
    assert void(tmp_path / "moved") == {"test", "energy_j", "train_s", "live_bytes"}
    fault = faults(collect([tmp_path / "moved"]))[0]
    assert "whose study.json is not with them" in fault.text


def test_an_older_study_says_that_edits_cannot_be_seen(tmp_path):
    definition = {"algos": ["mine"], "data": "digits", "seeds": list(sound.SEEDS)}
    made = build(study.load(write(tmp_path, definition=definition)))
    assert any("before definitions were fixed" in text for text in made["warnings"])
    assert made["blocked"] == 0


def test_loose_runs_that_stop_differently_are_not_compared(tmp_path):
    for arm in sound.ARMS:
        for seed in sound.SEEDS:
            made = sound.record(arm, seed)
            put("config", "patience", value=9, arm="mine")(made, arm, seed)
            (tmp_path / f"{arm}{seed}").mkdir()
            doubles.record.write({**made, "folder": f"{arm}{seed}"}, tmp_path / f"{arm}{seed}" / "run.json")
    assert void(tmp_path) == {"test", "energy_j", "train_s"}
