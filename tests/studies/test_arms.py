"""Arms: parted, built with their twins and controls, and the data that they share."""

import numpy as np
import pytest

from bpfree.nets.mlp import Settings as MLP
from bpfree.reports.study import OWN
from bpfree.studies import arms, notation
from bpfree.studies.plan import planned_runs

MF, AGAIN, BP = "mono-forward", "mono-forward again", "backprop"
LESS_MEMORY = ("backprop:accumulate=4", "backprop:checkpointing=true")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("a,b:k=1,l=2,c", ["a", "b:k=1,l=2", "c"]),
        ("a:hidden=10,20,b", ["a:hidden=10,20", "b"]),
        ("x.py:R:lr=1e-3,y.py:S", ["x.py:R:lr=1e-3", "y.py:S"]),
    ],
)
def test_arms_are_parted_at_commas(text, parts):
    assert notation.separate(text) == parts


@pytest.mark.parametrize(
    ("algos", "data"),
    [(MF, "mnist"), (BP, "mnist"), ("forward-gnn", "cora"), (f"forward-gnn:lr=0.1,{BP}:lr=0.1", "cora")],
)
def test_study_that_names_no_data_has_that_of_its_rules(algos, data):
    assert notation.default_data(algos) == data


def test_every_net_gets_a_twin_that_differs_in_the_rule_alone(data):
    built, _, notes = arms.build_arms([MF, f"{MF}:hidden=8"], data, None, {"hidden": (16,)}, controls=[])
    assert [(arm.name, arm.role, arm.reference) for arm in built] == [
        (MF, "arm", None),
        (AGAIN, "aa", MF),
        (f"{BP} (net of {MF})", "twin", MF),
        (f"{MF}:hidden=8", "arm", None),
        (f"{BP} (net of {MF}:hidden=8)", "twin", f"{MF}:hidden=8"),
    ]
    for arm in built[2], built[4]:
        other = next(a for a in built if a.name == arm.reference)
        mine, theirs = arm.plan.config, other.plan.config
        assert arm.net_key == other.net_key
        shared = (mine.keys() & theirs.keys()) - {"algo"}
        assert {key for key in shared if mine[key] != theirs[key]} == set()
    assert len({arm.net_key for arm in built}) == 2
    assert notes == ["the arms share no net: each is held against its own backprop twin, never against another arm"]


def test_usual_controls_stand_beside_the_arms_they_belong_to(data):
    built, _, _ = arms.build_arms([MF, BP], data, None, {"hidden": (16,)})
    names = {"backprop:deep_supervision=true", "mono-forward:schedule=joint", "random-features", *LESS_MEMORY}
    assert {arm.name for arm in built if arm.role == "control"} == names
    assert [arm.name for arm in built if arm.role == "twin"] == [BP]  # typed or not, it is there once
    built, _, _ = arms.build_arms(["forward-forward"], data, None, {"hidden": (16,)})
    assert "mono-forward:schedule=joint" not in {arm.name for arm in built}


def test_backprop_in_less_memory_repeats_the_twin_at_its_own_convergence(data):
    built, _, _ = arms.build_arms([MF], data, None, {"hidden": (16,)})
    twin, *less = (arm for arm in built if arm.name in (BP, *LESS_MEMORY))
    for arm, changed in zip(less, ({"accumulate": 4}, {"checkpointing": True}), strict=True):
        assert arm.plan.config == {**twin.plan.config, **changed}
        assert (arm.reference, arm.repeats, list(arm.budgets)) == (BP, BP, [OWN])
    runs = planned_runs(built, [0, 1])
    assert {(run["seed"], run["budget"]) for run in runs if run["arm"] in LESS_MEMORY} == {(0, OWN), (1, OWN)}
    assert len(runs) == 2 * (2 * 6 + 2)


def test_backprop_in_less_memory_is_left_out_where_it_cannot_run(data):
    common = {"net": "cnn", "channels": (4, 5), "norm": "batch"}
    built, _, notes = arms.build_arms([MF], data, common.pop("net"), common)
    assert [arm.name for arm in built if arm.name in LESS_MEMORY] == [LESS_MEMORY[1]]
    (note,) = notes
    assert note.startswith(f"{LESS_MEMORY[0]} cannot run beside {MF} and was left out: accumulate splits a batch")


@pytest.mark.parametrize("searched", [False, True])
def test_study_of_backprop_alone_keeps_its_twin(data, searched):
    """The arm with the very settings of the twin is the twin; but not where a search would leave its rate alone."""
    algos = [f"{BP}:lr=0.00100001", f"{BP}:lr=0.001"]
    built, _, _ = arms.build_arms(algos, data, None, {"hidden": (16,)}, controls=[], searched=searched)
    roles = {arm.name: arm.role for arm in built}
    fixed = {algos[0]: "arm", f"{algos[0]} again": "aa"}
    assert roles == fixed | ({algos[1]: "arm", BP: "twin"} if searched else {algos[1]: "twin"})


def test_a_control_that_a_rule_declares_stands_beside_its_own_arms_alone(data, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from bpfree.rules.dfa import DFA\n\n\nclass Mine(DFA):\n    controls = ('clip=1', 'clip=2,centralise=true')\n"
    )
    declared = [f"{file}:clip=1", f"{file}:clip=2,centralise=true"]
    built, _, _ = arms.build_arms([str(file), "dfa"], data, None, {"hidden": (16,)})
    mine = [arm for arm in built if arm.role == "control" and arm.algo == str(file)]
    assert [arm.name for arm in mine] == declared
    assert mine[1].plan.rule_settings.clip == 2
    assert mine[1].plan.rule_settings.centralise is True
    built, _, _ = arms.build_arms(["dfa"], data, None, {"hidden": (16,)}, controls=[*declared, "dfa:clip=3"])
    assert [arm.name for arm in built if arm.role == "control"] == ["dfa:clip=3"]


def test_quick_study_takes_all_rows_of_small_data(data):
    built, _, _ = arms.build_arms([MF], data, None, {}, controls=[], quick=True)  # 300 rows, not 2,000
    assert {arm.values["subset"] for arm in built} == {None}


def test_arms_on_a_small_table_share_the_narrow_net_that_it_calls_for(tmp_path):
    """A run of its own would take 128,128 on 40 rows: so do the arm, its repeat, its twin and its controls."""
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "t.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    built, _, _ = arms.build_arms([MF], f"npz:{tmp_path / 't.npz'}", None, {})
    assert {arm.name for arm in built} >= {MF, AGAIN, BP, *LESS_MEMORY}
    assert [arm.values["hidden"] for arm in built] == [list(MLP.on_few_rows["hidden"])] * len(built)
    assert len({arm.net_key for arm in built}) == 1


@pytest.mark.parametrize(
    ("algo", "common", "width"),
    [(MF, {}, 128), (f"{MF}:hidden=160", {}, 160), (MF, {"hidden": (160,)}, 160)],
)
def test_quick_does_not_widen_the_net_of_a_small_table(algo: str, common: dict, width: int, tmp_path):
    """What is typed counts; else the narrow net, not the 256,256 that are narrow for pictures."""
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "t.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    built, _, _ = arms.build_arms([algo], f"npz:{tmp_path / 't.npz'}", None, common, quick=True)
    assert {arm.plan.net_settings.hidden[0] for arm in built} == {width}
