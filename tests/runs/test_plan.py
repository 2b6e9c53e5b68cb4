"""A plan: checked once, then handed on as it is."""

import os
from pathlib import Path

import numpy as np
import pytest

import bpfree
from bpfree.runs.plan import RunSettings, plan, settings_of
from bpfree.runs.probe import Probe
from bpfree.training.loop import Loop

VALUES = {"hidden": (6,), "epochs": 1, "seed": 3, "device": "cpu"}


def test_trainer_and_loop_get_the_settings_of_the_plan_themselves():
    planned = plan("mono-forward", "vowels", "mlp", VALUES)
    trainer = planned.build()
    assert trainer.settings is planned.rule_settings
    assert trainer._build_net.keywords["settings"] is planned.net_settings
    loop = Loop(trainer, planned.load_data(), settings=planned.loop_settings)
    assert loop.settings is planned.loop_settings
    assert loop.trainer.features == [6]


@pytest.mark.parametrize(("probe", "classes"), [(True, [Probe]), (False, [])])
def test_the_probe_is_a_callback_of_runs_that_ask_for_one(probe, classes):
    planned = plan("backprop", "mnist", None, {**VALUES, "probe": probe})
    assert [type(callback) for callback in planned.callbacks()] == classes


def test_the_probe_is_a_setting_of_runs_and_none_of_the_loop():
    assert settings_of("backprop")["run"] is RunSettings
    with pytest.raises(bpfree.InputError, match="probe"):
        plan("backprop", "mnist", None, VALUES).build().fit(([[0.0], [1.0]], [0, 1]), probe=True)


@pytest.mark.parametrize(
    ("net", "name", "value", "expected"),
    [
        ("instrument", "instrument", "bench.py:bench", "{here}/bench.py:bench"),
        ("instrument", "instrument", "python bench.py", "python bench.py"),
        ("instrument", "instrument", "bench.py", "bench.py"),  # a command that is in the PATH
        ("instrument", "tape", "answers.jsonl", "{here}/answers.jsonl"),
        ("instrument", "replay", "../answers.jsonl", "{above}/answers.jsonl"),
        ("instrument", "replay", None, None),
        ("measured", "pairs", "here.npz", "{here}/here.npz"),
        ("measured", "pairs", "elsewhere.npz", "elsewhere.npz"),  # looked up in $BPFREE_DATA_DIR
    ],
)
def test_a_setting_that_names_a_file_names_it_from_any_folder(tmp_path, monkeypatch, net, name, value, expected):
    monkeypatch.chdir(tmp_path)
    Path("here.npz").touch()
    planned = plan("physical-ff", "vowels", net, {**VALUES, name: value})
    if expected:
        expected = expected.format(here=Path.cwd(), above=Path.cwd().parent).replace("/", os.sep)
    assert planned.config[name] == expected


def test_auto_and_what_it_became_are_one_net_and_other_normalisations_are_another():
    x = np.random.default_rng(0).random((20, 3))

    def key(**values):
        planned = plan("backprop", (x, np.arange(20) % 2), "mlp", {**VALUES, **values})
        return planned.net_key(planned.load_data().spec)

    assert key() == key(normalize="auto") == key(normalize="standard")
    assert key() != key(normalize="none")
