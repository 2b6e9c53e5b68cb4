"""Every committed recipe is a configuration that can be run as it stands."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from bpfree import InputError
from bpfree.studies import arms
from bpfree.studies import compare
from bpfree.runs import recipes
from bpfree.runs import train
from bpfree.training.data import Spec

FILES = sorted((Path(__file__).resolve().parents[2] / "examples" / "recipes").glob("*.yaml"))
STUDIES = [path.stem for path in FILES if "algos" in yaml.safe_load(path.read_text())]
NAMES = [path.stem for path in FILES if path.stem not in STUDIES]


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_checked_and_complete(name: str):
    recipe = recipes.load(name)
    values = dict(recipe.config)
    chosen = train.plan(values.pop("algo"), values.pop("data"), values.pop("net", "mlp"), values)
    assert {key: chosen.config[key] for key in values} == values
    assert len(set(recipe.seeds)) == len(recipe.seeds) > 0


TWINS = [
    ("mf-mnist-2x1000", "bp-mnist-2x1000"),
    ("mf-fmnist", "bp-fmnist"),
    ("local-loss-vgg8b-cifar10", "bp-vgg8b-cifar10"),
    ("local-loss-mnist", "bp-local-loss-mnist"),
]


@pytest.mark.parametrize("pair", TWINS)
def test_twin_differs_from_its_recipe_in_the_rule_alone(pair: tuple[str, str]):
    mine, twin = (yaml.safe_load((recipes.folder() / f"{name}.yaml").read_text()) for name in pair)
    assert {key for key in mine if mine[key] != twin.get(key)} - {"target"} == {"about", "algo"}


@pytest.mark.parametrize("data", ["mnist", "fmnist", "cifar10"])
def test_searched_twin_differs_in_what_was_searched_for_each(data: str):
    mine, twin = (
        yaml.safe_load((recipes.folder() / f"{name}-{data}.yaml").read_text()) for name in ("ccl-mlp", "bp-ccl-mlp")
    )
    different = {key for key in {**mine, **twin} if mine.get(key) != twin.get(key)} - {"target"}
    assert different <= {"about", "algo", "lr", "feedback_lr", "lr_schedule", "warmup_steps"}


SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


@pytest.mark.parametrize("name", STUDIES)
def test_study_is_checked_and_complete(name: str, monkeypatch: pytest.MonkeyPatch):
    """On what the data look like: they need not be here."""

    def load_data(plan: train.Plan) -> SimpleNamespace:
        about = ("classification", "accuracy", True, "0" * 64, "a stand-in")
        return SimpleNamespace(spec=Spec(plan.data, SHAPES[plan.data], 10, None, *about), test=object())

    monkeypatch.setattr(train.Plan, "load_data", load_data)
    found = recipes.study(name)
    options = set(inspect.signature(compare.compare).parameters)
    settings = {key: value for key, value in found.items() if key not in options}
    laid_out, _, notes = arms.build_arms(
        found["algos"], found["data"], found.get("net"), settings, controls=found.get("controls")
    )
    assert notes == []
    assert {arm.role for arm in laid_out} == {"arm", "aa", "twin", "control"}
    assert len({arm.net_key for arm in laid_out}) == 1
    for arm in laid_out:
        assert {key: arm.plan().config[key] for key in settings} == settings
    assert len(compare.seed_list(found["seeds"])) == len(found["seeds"])


@pytest.mark.parametrize("name", STUDIES)
def test_study_is_not_reproduced_but_compared(name: str):
    with pytest.raises(InputError, match=f"bpfree compare --config {name}"):
        recipes.load(name)
