"""bpfree.reports.validity: whatever it finds is the reason of "cannot conclude" for each measure that it touches."""

import sys

import pytest
import sound
import study_doubles as doubles
from sound import put, verdicts

from bpfree.errors import InputError
from bpfree.reports import study, validity
from bpfree.reports.build import build

METRIC, COSTS, MEMORY = {"test"}, {"energy_j", "train_s"}, {"live_bytes"}
ALL = METRIC | COSTS | MEMORY
LEARNING = METRIC | COSTS


def void(made: dict) -> set[str]:
    """The measures in which nothing can be concluded of mine and backprop."""
    return {measure for measure, c in verdicts(made).items() if c["verdict"] == "cannot conclude"}


def test_a_sound_study_concludes_in_every_measure(tmp_path):
    made = sound.report(tmp_path)
    assert made["faults"] == []
    assert made["blocked"] == 0
    assert {measure: c["verdict"] for measure, c in verdicts(made).items()} == dict.fromkeys(ALL, "difference")


def curves_of_seed_0(made: dict, arm: str, seed: int) -> None:
    """A copied run on 50 test rows: predictions and losses are those of seed 0."""
    made["data"]["rows"]["test"] = 50
    losses = [0.7 / (k + 1) + (0 if arm == "mine" else seed / 100) for k in range(5)]
    made["history"] = [{**entry, "loss": {"net": loss}} for entry, loss in zip(made["history"], losses, strict=True)]
    if arm == "mine":
        made["result"]["predictions_sha256"] = "f" * 64


def other_code(made: dict, arm: str, seed: int) -> None:
    rooms = {"training": "a", "rules": "b" if arm == "mine" else "c"}
    made["extensions"] = {"provenance": {"rooms_sha256": rooms}}


def git(commit: str) -> dict:
    return {"commit": commit, "dirty": False}


def metered(**about) -> dict:
    """The meter's description of a board with what it saw at the start (``start``) and later (``during``)."""
    about = {"start": {"power_limit_w": 300.0}, "during": {"other_pids": []}, **about}
    return lambda made: {**made["meter"]["components"]["gpu0"], **about}


FAULTS = {  # name: (change, measures that it voids, words of the reason)
    "a checkpoint that runs share": (
        put("result", "predictions_sha256", value="f" * 64, arm="mine"),
        ALL,
        "predict exactly the same on the test data",
    ),
    "a run copied with few test rows": (curves_of_seed_0, ALL, "predict exactly the same on the test data"),
    "weights that two seeds share": (
        put("model_sha256", value="e" * 64, arm="mine"),
        ALL,
        "ended with exactly the same weights",
    ),
    "a copied time": (put("time", "train_s", value=11.5, arm="mine"), ALL, "took the same time to the last digit"),
    "no validation rows": (
        put("data", "rows", value={"train": 9, "val": 0, "test": 500}, arm="mine"),
        LEARNING,
        "was selected on test data",
    ),
    "validation on the test rows": (
        put("result", "val", value=lambda r: r["result"]["test"], arm="mine"),
        LEARNING,
        "selection was on test data",
    ),
    "test data in an epoch": (put("history", 0, "test", value=0.5, arm="mine", seed=0), LEARNING, "was looked at"),
    "readouts of test data": (put("history", 2, "test_readouts", value={}, arm="mine"), LEARNING, "was looked at"),
    "other initial weights": (put("init_sha256", value=lambda r: [r["algo"]]), LEARNING, "with the same weights"),
    "another order": (put("order_sha256", value=lambda r: r["algo"]), LEARNING, "see the data in the same order"),
    "another patience": (
        put("config", "patience", value=20, arm="mine"),
        LEARNING,
        "(mine: patience 20; backprop: patience 3)",
    ),
    "other epochs": (put("config", "epochs", value=20, arm="mine"), LEARNING, "do not stop by one rule"),
    "another state kept": (put("config", "keep", value="last", arm="mine"), LEARNING, "do not stop by one rule"),
    "rarer validation": (put("config", "validate_every", value=5, arm="mine"), LEARNING, "do not stop by one rule"),
    "rarer checkpoints": (put("config", "checkpoint_every", value=5, arm="mine"), COSTS, "not written equally often"),
    "checkpoints in the window": (
        put("energy", value=lambda r: {k: v for k, v in r["energy"].items() if k != "save"}, arm="mine"),
        COSTS,
        "no window 'save'",
    ),
    "another version of bpfree": (
        put("versions", "bpfree", value="0.1", arm="mine"),
        ALL,
        "mine and backprop are not of one version of bpfree (0.1, None)",
    ),
    "another commit": (put("git", value=lambda r: git(r["algo"])), ALL, "not of one commit of bpfree"),
    "other code of a room": (other_code, ALL, "mine and backprop are not of one code of bpfree (rules)"),
    "code that changed on the way": (
        lambda made, arm, seed: made.update(git=git("a" if seed < 3 else "b")),
        ALL,
        "mine, own convergence: its runs are not of one commit of bpfree (a, b) (seed 0 against seeds 3 and 4)",
    ),
    "another torch": (put("versions", "torch", value="1", arm="mine"), ALL, "version of torch (1, 2)"),
    "another numpy": (put("versions", "numpy", value="1", arm="mine"), ALL, "version of numpy (1, None)"),
    "another Python": (put("versions", "python", value="2", arm="mine"), COSTS, "version of python (2, 3)"),
    "memory by another method": (
        put("memory", "method", value="resident peak of the run", arm="mine"),
        MEMORY,
        "memory was not measured in one way",
    ),
    "memory of the device": (
        put("memory", "method", value="NVML, whole device"),
        MEMORY,
        "mostly the CUDA context",
    ),
    "parameters that nothing uses": (
        put("parameters", "trained", value=1500, arm="backprop"),
        COSTS | MEMORY,
        "500 parameters that no prediction uses",
    ),
    "two machines of one model": (
        put("device", "boot", value=lambda r: r["algo"]),
        COSTS,
        "machine mine and backprop",
    ),
    "another power limit": (
        put("meter", "components", "gpu0", value=metered(start={"power_limit_w": 350.0}), arm="mine"),
        COSTS,
        "power limit in W: 350.0 and None",
    ),
    "a processor metered while an unknown board trained": (
        lambda made, arm, seed: made.update(doubles.run(arm, seed, parts=CPU, **same(made))),
        {"energy_j"},
        "the GPU that trained is not among the measured components",
    ),
}
CPU = (("cpu", "measured:counter", "RAPL package-0", 1.0),)


def same(made: dict) -> dict:
    return {
        "test": made["result"]["test"],
        "train_s": made["time"]["train_s"],
        "peak": made["memory"]["live_bytes"],
    }


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_voids_what_it_touches_and_nothing_else(tmp_path, name):
    change, measures, words = FAULTS[name]
    made = sound.report(tmp_path, change)
    assert void(made) == measures
    for measure in measures:
        assert words in verdicts(made)[measure]["because"]
        assert verdicts(made)[measure]["sentence"].startswith("Cannot conclude whether mine and backprop differ in")
    assert (made["blocked"] > 0) is (measures != {"energy_j"})


def test_a_co_tenant_in_one_arm_voids_costs(tmp_path):
    change = put("meter", "components", "gpu0", value=metered(during={"other_pids": [7]}), arm="mine")

    def both(made: dict, arm: str, seed: int) -> None:
        put("meter", "components", "gpu0", value=metered())(made, arm, seed)
        change(made, arm, seed)

    made = sound.report(tmp_path, both)
    assert void(made) == COSTS
    assert "other processes on the device: yes and no" in verdicts(made)["energy_j"]["because"]


def test_no_front_is_drawn_over_a_fault(tmp_path):
    assert sound.report(tmp_path / "a")["budgets"][0]["pareto"]["fronts"] == [["mine"]]
    void = sound.report(tmp_path / "b", put("config", "patience", value=20, arm="mine"))
    assert void["budgets"][0]["pareto"]["fronts"] == []


def test_a_fault_between_two_arms_leaves_the_others_alone(tmp_path):
    """Of three arms one waits longer: it cannot be compared with either, and these two can."""
    arms = {**sound.ARMS, "third": {}}
    made = sound.report(tmp_path, put("config", "patience", value=20, arm="third"), arms)
    assert verdicts(made)["test"]["verdict"] == "difference"
    assert verdicts(made, "third")["test"]["verdict"] == "cannot conclude"


def test_the_matched_budget_stops_alike_but_for_its_epochs(tmp_path):
    """Epochs follow from the passes there; patience, or another state that is kept, is still a fault."""
    epochs = sound.report(tmp_path / "a", put("config", "epochs", value=7, arm="mine"), budget=study.MATCHED)
    assert void(epochs) == set()
    patience = sound.report(tmp_path / "b", put("config", "patience", value=7, arm="mine"), budget=study.MATCHED)
    assert void(patience) == LEARNING


def test_equal_predictions_on_few_rows_are_no_copy_where_the_losses_differ(tmp_path):
    def change(made: dict, arm: str, seed: int) -> None:
        curves_of_seed_0(made, arm, seed)
        made["history"][0]["loss"] = {"net": 0.7 + seed / 1000}

    assert sound.report(tmp_path, change)["faults"] == []


@pytest.mark.parametrize(("others", "faulty"), [(19, False), (20, True)])
def test_nets_that_give_nearly_all_rows_to_one_class_may_agree(tmp_path, others, faulty):
    """All runs predict the same and score the same; the losses differ, and ``others`` rows are of the rarer class."""

    def change(made: dict, arm: str, seed: int) -> None:
        made["result"] |= {"predictions_sha256": "f" * 64, "test": 0.6}
        made["history"] = [{**entry, "loss": {"net": seed + len(arm) / 10}} for entry in made["history"]]
        made["extensions"] = {"metrics": {"confusion": [[300, 0], [200 - others, others]]}}

    assert bool(sound.report(tmp_path, change)["faults"]) == faulty


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([[1, 2], [3]], "as many columns as rows"),
        ([[1, -2], [3, 4]], "greater than or equal to 0"),
        ([[1, 10**30], [3, 4]], "less than or equal to"),
    ],
)
def test_a_confusion_matrix_that_is_none_is_refused_in_one_line(tmp_path, counts, reason):
    with pytest.raises(InputError, match=reason):
        sound.report(tmp_path, put("extensions", value={"metrics": {"confusion": counts}}))


def test_ways_to_run_backprop_in_less_memory_may_predict_what_it_predicts(tmp_path):
    settings = {"checkpointing": True}
    arms = {**sound.ARMS, "checkpointed": {"role": "control", "algo": "backprop", "settings": settings}}

    def change(made: dict, arm: str, seed: int) -> None:
        made["algo"] = made["config"]["algo"] = "mine" if arm == "mine" else "backprop"
        made["config"]["checkpointing"] = arm == "checkpointed"
        made["result"]["predictions_sha256"] = f"{'mine' if arm == 'mine' else 'backprop'} {seed}"

    assert sound.report(tmp_path, change, arms)["faults"] == []


def test_survivors_are_told(tmp_path):
    """Of ten seeds of mine three finished: the sentence on the three says so."""
    made = sound.report(
        tmp_path, lambda _, arm, seed: "failed" if arm == "mine" and seed > 2 else None, seeds=range(10)
    )
    actual = verdicts(made)["live_bytes"]
    assert actual["verdict"] == "difference"
    assert "n = 3 pairs; 3 of 10 seeds of mine finished" in actual["sentence"]
    assert "3 of 10 seeds of mine finished" in verdicts(made)["train_s"]["sentence"]


def test_one_line_an_arm_however_many_runs_have_the_fault(tmp_path):
    """40 runs of one arm predict the same, took the same time and tested while training: a line for each kind."""

    def change(made: dict, arm: str, seed: int) -> None:
        if arm == "mine":
            made["result"]["predictions_sha256"] = "f" * 64
            made["time"]["train_s"] = 3.0
            made["history"][0]["test"] = 0.5

    texts = [fault["text"] for fault in sound.report(tmp_path, change, seeds=range(40))["faults"]]
    assert len(texts) == 3
    assert all("mine" in text and "\n" not in text for text in texts)


def calls(made: study.Study) -> int:
    """Calls of Python functions that the search for faults makes."""
    count = 0

    def profile(frame, event, argument) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        validity.faults(made)
    finally:
        sys.setprofile(None)
    return count


def large(seeds: int) -> study.Study:
    """A study in memory with two arms of so many seeds, all at once on one meter, all with equal predictions."""
    runs = []
    for seed in range(seeds):
        for arm in sound.ARMS:
            made = sound.record(arm, seed)
            made |= {"started": "2026-01-01T00:00:00", "ended": "2026-01-01T00:00:09", "record_sha256": f"{arm} {seed}"}
            made |= {"extensions": {}, "git": None, "co2e": None, "model_sha256": None, "init_sha256": []}
            made |= {"order_sha256": None}
            made["result"]["predictions_sha256"] = "f" * 64
            runs.append(study.Run(arm, seed, study.OWN, None, f"{arm}{seed}", "finished", None, made))
    arms = [{"name": arm, "algo": arm, "net_key": "net", **about} for arm, about in sound.ARMS.items()]
    plan = {"schema": study.SCHEMA, "name": "large", "arms": arms, "budgets": [study.OWN], "seeds": list(range(seeds))}
    return study.Study(study.validated(plan), runs)


def test_the_search_for_faults_is_linear():
    """Twice the runs take twice the calls, not four times, even where every run has a fault with every other."""
    once, twice = calls(large(200)), calls(large(400))
    assert twice < 2.1 * once


def test_a_result_without_digits_is_refused_in_one_line(tmp_path):
    stated = [{"arm": "mine", "budget": study.OWN, "mean": 0.97}]
    with pytest.raises(study.InputError) as error:
        build(doubles.write(tmp_path, sound.ARMS, sound.record, stated=stated))
    assert "stated.0.digits" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["margin_pp", "target"])
def test_a_margin_or_target_without_end_is_refused_in_one_line(tmp_path, key):
    with pytest.raises(study.InputError, match=rf"{key}: Input should be a finite number"):
        doubles.write(tmp_path, sound.ARMS, sound.record, **{key: float("inf")})
