"""Every committed recipe is a configuration that can be run as it stands."""

import dataclasses
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bpfree import InputError
from bpfree.runs import plan as plans
from bpfree.runs import recipes
from bpfree.studies import arms, compare
from bpfree.training.data import Spec
from bpfree.training.trainer import RuleSettings

FILES = sorted((Path(__file__).resolve().parents[2] / "examples" / "recipes").glob("*.yaml"))
STUDIES = [path.stem for path in FILES if "algos" in yaml.safe_load(path.read_text())]
NAMES = [path.stem for path in FILES if path.stem not in STUDIES]
MACHINE = {"seed", "device", "threads", "compile", "resident_mb", "cache_mb", "checkpoint_every", "data_dir"}
MACHINE |= {"observe_every", "probe", "metric"}  # what is watched
MACHINE |= {"max_steps", "max_minutes"}  # what ends a run early
MACHINE |= {"init_from", "last_batch"}  # settings that came later: their defaults do what was done before
MACHINE |= {"accumulate", "checkpointing"}  # memory and time of backprop's gradient, not its value
RESOLVED = json.loads(Path(__file__).with_name("recipes_resolved.json").read_text(encoding="utf-8"))


def without_machine(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in MACHINE}


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_checked_and_complete(name: str):
    recipe = recipes.load(name)
    values = dict(recipe.config)
    plan = plans.plan(values.pop("algo"), values.pop("data"), values.pop("net"), values)
    assert {key: plan.config[key] for key in values} == values
    assert len(set(recipe.seeds)) == len(recipe.seeds) > 0


@pytest.mark.parametrize("name", NAMES)
def test_recipe_leaves_nothing_to_a_default(name: str):
    config = recipes.load(name).config
    plan = plans.plan(config["algo"], config["data"], config["net"], {})
    assert without_machine(plan.config).keys() <= config.keys()


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_the_configuration_that_its_figure_was_made_with(name: str):
    """``recipes_resolved.json`` was written by the code of before any recipe named its defaults."""
    values = dict(recipes.load(name).config)
    plan = plans.plan(values.pop("algo"), values.pop("data"), values.pop("net"), values)
    assert without_machine(plan.config) == RESOLVED[name]


def test_every_recipe_is_in_the_table_of_configurations():
    assert {*RESOLVED} == {*NAMES, *STUDIES}


def rule_only(*configs: dict[str, Any]) -> set[str]:
    """Settings that a rule of ``configs`` declares beside those that all rules have."""
    own = [dataclasses.fields(plans.settings_of(config["algo"])["rule"]) for config in configs]
    return {field.name for fields in own for field in fields} - {f.name for f in dataclasses.fields(RuleSettings)}


TWINS = [
    ("mf-mnist-2x1000", "bp-mnist-2x1000"),
    ("mf-fmnist", "bp-fmnist"),
    ("local-loss-vgg8b-cifar10", "bp-vgg8b-cifar10"),
    ("local-loss-mnist", "bp-local-loss-mnist"),
]


@pytest.mark.parametrize("pair", TWINS)
def test_twin_differs_from_its_recipe_in_the_rule_alone(pair: tuple[str, str]):
    mine, twin = (yaml.safe_load((recipes.folder() / f"{name}.yaml").read_text()) for name in pair)
    different = {key for key in {**mine, **twin} if mine.get(key) != twin.get(key)} - {"target"}
    assert different - rule_only(mine, twin) == {"about", "algo"}


@pytest.mark.parametrize("data", ["mnist", "fmnist", "cifar10"])
def test_searched_twin_differs_in_what_was_searched_for_each(data: str):
    mine, twin = (
        yaml.safe_load((recipes.folder() / f"{name}-{data}.yaml").read_text()) for name in ("ccl-mlp", "bp-ccl-mlp")
    )
    different = {key for key in {**mine, **twin} if mine.get(key) != twin.get(key)} - {"target"}
    assert different - rule_only(mine, twin) <= {"about", "algo", "lr", "feedback_lr", "lr_schedule", "warmup_steps"}


SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch):
    """What the data of the studies look like: they need not be here."""

    def load_data(plan: plans.Plan) -> SimpleNamespace:
        about = ("classification", "accuracy", True, "0" * 64, "a stand-in")
        return SimpleNamespace(spec=Spec(plan.data, SHAPES[plan.data], 10, None, *about), test=object(), notes=())

    monkeypatch.setattr(plans.Plan, "load_data", load_data)


def arms_of(name: str) -> tuple[dict[str, Any], dict[str, Any], list[arms.Arm], list[str]]:
    """A study: all that its file says, the settings among it, its arms, and notes on them."""
    study = recipes.study(name)
    options = set(inspect.signature(compare.compare).parameters)
    settings = {key: value for key, value in study.items() if key not in options}
    built, _, notes = arms.build_arms(
        study["algos"], study["data"], study.get("net"), settings, controls=study.get("controls")
    )
    return study, settings, built, notes


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", STUDIES)
def test_study_is_checked_and_complete(name: str):
    study, settings, built, notes = arms_of(name)
    assert notes == []
    assert {arm.role for arm in built} == {"arm", "aa", "twin", "control"}
    assert len({arm.net_key for arm in built}) == 1
    for arm in built:
        assert {key: arm.plan.config[key] for key in settings} == settings
    assert len(compare.seed_list(study["seeds"])) == len(study["seeds"])


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", STUDIES)
def test_arms_of_a_study_are_the_configurations_that_its_figures_were_made_with(name: str):
    *_, built, _ = arms_of(name)
    assert {arm.name: without_machine(arm.plan.config) for arm in built} == RESOLVED[name]


@pytest.mark.parametrize("name", STUDIES)
def test_study_is_not_reproduced_but_compared(name: str):
    with pytest.raises(InputError, match=f"bpfree compare --config {name}"):
        recipes.load(name)
