"""Options of a comparison: one declaration for the function's defaults, the checks and the command line's help."""

import inspect
import json

import pytest
from typer.testing import CliRunner

from bpfree.cli.commands import app
from bpfree.config.settings import options
from bpfree.errors import InputError
from bpfree.reports import study
from bpfree.studies.compare import compare
from bpfree.studies.options import FLAGS, CompareOptions, TuneOptions, check_target, help_text
from bpfree.studies.plan import definition
from bpfree.studies.tune import tune


@pytest.mark.parametrize(("function", "cls"), [(compare, CompareOptions), (tune, TuneOptions)])
def test_defaults_of_the_function_are_those_of_the_declaration(function, cls):
    parameters = inspect.signature(function).parameters
    for option in options(cls):
        assert parameters[option.name].default == option.default


HELPED = [
    *(("compare", CompareOptions, name) for name in ("tune", "tune_epochs", "quick", "target", "margin_pp", "jobs")),
    ("compare", CompareOptions, "idle_s"),
    *(("tune", TuneOptions, name) for name in ("trials", "storage", "name")),
]


@pytest.mark.parametrize(("command", "cls", "name"), HELPED)
def test_help_of_the_command_is_that_of_the_declaration(command, cls, name):
    shown = CliRunner().invoke(app, [command, "--help"], terminal_width=1000).output
    flag = FLAGS.get(name, "--" + name.replace("_", "-"))
    (line,) = [line for line in shown.splitlines() if line.split()[:1] == [flag]]
    assert line.endswith(help_text(cls, name))


BAD = [
    ("compare", ["--margin", "inf"], "--margin = inf is not valid: expected"),
    ("compare", ["--margin", "nan"], "--margin = nan is not valid: expected"),
    ("compare", ["--margin", "-1"], "--margin = -1.0 is not valid: expected > 0"),
    ("compare", ["--idle", "inf"], "--idle = inf is not valid: expected"),
    ("compare", ["--idle", "-1"], "--idle = -1.0 is not valid: expected >= 0"),
    ("compare", ["--target", "inf"], "--target = inf is not valid: expected"),
    ("compare", ["--tune-epochs", "0"], "--tune-epochs = 0 is not valid: expected >= 1"),
    ("tune", ["--trials", "0"], "--trials = 0 is not valid: expected >= 1"),
]


@pytest.mark.parametrize(("command", "flags", "message"), BAD, ids=[" ".join(flags) for _, flags, _ in BAD])
def test_message_names_the_flag_that_was_typed(command, flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"compare": "--algos", "tune": "--algo"}
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, [command, names[command], "mono-forward", *flags], catch_exceptions=False)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_definition_has_every_field_of_the_study_and_no_other():
    named = {"algos": ["cafo"], "data": "mnist", "seeds": [0], "controls": None, "settings": {"hidden": (8,)}}
    defined = definition(CompareOptions(), **named)
    assert defined.keys() == study.Definition.model_fields.keys()
    assert study.Definition(algos=["cafo"], data="mnist", seeds=[0]).model_dump() == {**defined, "settings": {}}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ({"epochs": "1"}, {"epochs": 1}),
        ({"hidden": "8,4"}, {"hidden": [8, 4]}),
        ({"hidden": (8, 4)}, {"hidden": [8, 4]}),
        ({"patience": "none"}, {"patience": None}),
        ({"probe": "true"}, {"probe": True}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"no_setting": "1"}, {"no_setting": "1"}),
    ],
)
def test_definition_has_settings_as_values_however_they_were_typed(typed, value):
    named = {"algos": ["cafo", "backprop"], "data": "mnist", "seeds": [0], "controls": None}
    resolved = definition(CompareOptions(), **named, settings=typed)["settings"]
    assert resolved == value
    assert json.dumps(resolved) == json.dumps(value)


@pytest.mark.parametrize(
    ("target", "metrics", "valid"),
    [
        (-0.5, ["r2"], True),
        (None, ["accuracy"], True),
        (0.97, ["accuracy"], True),
        (97, ["roc-auc"], False),
        (97, ["mse"], True),
    ],
)
def test_target_is_a_share_where_the_metric_is_one(target, metrics, valid):
    if valid:
        assert check_target(target, metrics) is None
        return
    with pytest.raises(InputError, match=r"target = 97 is not valid: .* are shares, 0\.\.1"):
        check_target(target, metrics)
