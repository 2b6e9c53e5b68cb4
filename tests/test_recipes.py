"""Every committed recipe is a configuration that can be run as it stands."""

from pathlib import Path

import pytest
import yaml

from bpfree import reproduce, run

NAMES = sorted(path.stem for path in (Path(__file__).resolve().parents[1] / "examples" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_checked_and_complete(name: str):
    recipe = reproduce.load(name)
    values = dict(recipe.config)
    chosen = run.plan(values.pop("algo"), values.pop("data"), values.pop("net", "mlp"), values)
    assert {key: chosen.config[key] for key in values} == values
    assert len(set(recipe.seeds)) == len(recipe.seeds) > 0


TWINS = [
    ("mf-mnist-2x1000", "bp-mnist-2x1000"),
    ("ccl-mlp-mnist", "bp-ccl-mlp-mnist"),
    ("mf-fmnist", "bp-fmnist"),
    ("local-loss-vgg8b-cifar10", "bp-vgg8b-cifar10"),
    ("local-loss-mnist", "bp-local-loss-mnist"),
]


@pytest.mark.parametrize("pair", TWINS)
def test_twin_differs_from_its_recipe_in_the_rule_alone(pair: tuple[str, str]):
    mine, twin = (yaml.safe_load((reproduce.folder() / f"{name}.yaml").read_text()) for name in pair)
    assert {key for key in mine if mine[key] != twin.get(key)} - {"target"} == {"about", "algo"}
