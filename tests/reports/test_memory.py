"""The answer about memory, and the table of the arms' settings."""

import json

import sound
import study_doubles as doubles

from bpfree.reports import pages, study, tables
from bpfree.reports.build import build
from bpfree.reports.render import render

NEEDS = {"mine": 3, "backprop": 8, "backprop:accumulate=4": 2, "backprop:checkpointing=true": 5}
SLOW = {"backprop:accumulate=4": 1.2, "backprop:checkpointing=true": 1.3}
SETTINGS = {"backprop:accumulate=4": {"accumulate": 4}, "backprop:checkpointing=true": {"checkpointing": True}}


def arms_of(names) -> dict:
    return {
        name: {
            "algo": name.partition(":")[0],
            "role": {"mine": "arm", "backprop": "twin"}.get(name, "control"),
            "settings": SETTINGS.get(name, {}),
        }
        for name in names
    }


def run(arm: str, seed: int) -> dict:
    """A run in which mine needs 3 MB, plain backprop 8, with accumulation 2 at 1.2 times the time."""
    train_s = (10 + seed) * SLOW.get(arm, 0.7 if arm == "mine" else 1.0) * (1 + ((seed * 3 + len(arm)) % 4) / 1000)
    settings = {"lr": 0.1 if arm == "mine" else 0.01, "batch_size": 128, "hidden": [8, 8], **SETTINGS.get(arm, {})}
    facts = {"test": 0.95 + seed / 1000, "peak": NEEDS[arm] * 10**6, "train_s": train_s, "config": settings}
    return {**doubles.run(arm, seed, **facts), "algo": arm.partition(":")[0]}


def report(folder, names, budgets=(study.OWN,)) -> dict:
    """A study of these runs."""
    more = {"budgets": list(budgets)} if len(budgets) > 1 else {}
    return build(doubles.write(folder, arms_of(names), run, range(5), **more))


def test_a_rule_is_held_against_the_leanest_way_to_run_backprop(tmp_path):
    """3 MB are less than the 8 of plain backprop, and half as much again as the 2 of micro-batches."""
    made = report(tmp_path, NEEDS)
    (answer,) = made["budgets"][0]["memory"]
    assert answer["best"] == "backprop:accumulate=4"
    assert answer["memory"].startswith("mine needs 50.0 % more working memory than backprop:accumulate=4")
    assert answer["cost"].startswith("backprop:accumulate=4 takes 20.")
    assert "more time to train than backprop" in answer["cost"]
    assert answer["time"].startswith("mine takes 41.")
    assert "less time to train than backprop:accumulate=4" in answer["time"]


def test_without_these_ways_the_question_stays_open(tmp_path):
    (answer,) = report(tmp_path, ["mine", "backprop"])["budgets"][0]["memory"]
    assert answer["verdict"] == "cannot conclude"
    assert "because neither backprop with gradient accumulation nor with checkpointing is among" in answer["memory"]


def test_ways_that_ran_in_another_budget_leave_no_question_open_in_this_one(tmp_path):
    """Micro-batches change no gradient, so that they have no runs at matched passes: no answer is due there."""
    folders = {study.OWN: tmp_path / "own", study.MATCHED: tmp_path / "matched"}
    own = doubles.write(folders[study.OWN], arms_of(NEEDS), run, range(5))
    matched = doubles.write(folders[study.MATCHED], arms_of(NEEDS), run, range(5), study.MATCHED)
    plain = [made for made in matched.runs if made.arm in ("mine", "backprop")]
    both = study.Study({**own.plan, "budgets": [study.OWN, study.MATCHED]}, [*own.runs, *plain])
    answers = {budget["name"]: budget["memory"] for budget in build(both)["budgets"]}
    assert [answer["best"] for answer in answers[study.OWN]] == ["backprop:accumulate=4"]
    assert answers[study.MATCHED] == []


def test_page_and_markdown_answer_it(tmp_path):
    made = report(tmp_path, NEEDS)
    (answer,) = made["budgets"][0]["memory"]
    for text in (pages.page(made), tables.markdown(made)):
        assert "Memory against the best way to run backprop" in text
        assert answer["memory"] in text


def test_an_arm_is_compared_only_where_it_was_to_run(tmp_path):
    made = report(tmp_path, NEEDS, (study.OWN, study.MATCHED))
    assert {c["budget"] for c in made["comparisons"]} == {study.OWN}
    assert made["budgets"][1]["memory"] == []


def test_settings_in_which_two_arms_differ_stand_beside_each_other(tmp_path):
    """Epochs and batch size always do; the width, which they share, does not."""
    made = report(tmp_path, NEEDS)
    table = made["budgets"][0]["settings"]
    assert table["arms"] == list(NEEDS)
    assert table["rows"] == {
        "epochs": ["100"] * 4,
        "lr": ["0.1", "0.01", "0.01", "0.01"],
        "batch_size": ["128"] * 4,
        "accumulate": ["\u2013", "\u2013", "4", "\u2013"],
        "checkpointing": ["\u2013", "\u2013", "\u2013", "true"],
    }
    assert "<td>batch_size</td><td>128</td>" in pages.page(made)


def test_a_setting_in_which_the_runs_of_an_arm_differ_shows_both(tmp_path):
    made = sound.report(tmp_path, lambda r, arm, seed: r["config"].update(lr=0.1 if seed else 0.2))
    assert made["budgets"][0]["settings"]["rows"]["lr"] == ["0.2; 0.1"] * 2


def test_a_report_of_the_first_version_is_still_drawn(tmp_path):
    """Those that are in the repository are."""
    made = json.loads(json.dumps(sound.report(tmp_path)))
    for budget in made["budgets"]:
        del budget["settings"], budget["memory"]
    for compared in made["comparisons"]:
        del compared["seeds"], compared["faults"], compared["blocked"]
    del made["blocked"]
    files = render({**made, "schema": "bpfree-report/1", "faults": ["a sentence"]}, tmp_path / "out")
    assert "a sentence" in files[1].read_text()
