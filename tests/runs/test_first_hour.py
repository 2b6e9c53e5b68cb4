"""Every rule runs well without a setting: one table of defaults, reasons to differ, and what comes of them."""

import dataclasses
import json

import pytest

from bpfree.config.resolve import PACKAGE
from bpfree.rules import RULES
from bpfree.runs.plan import default_net, plan
from bpfree.training.trainer import RuleSettings

NAMES = list(RULES.names())
TABLE = json.loads((PACKAGE / "rules" / "first_hour.json").read_text(encoding="utf-8"))
COMMON = {field.name: field.default.default for field in dataclasses.fields(RuleSettings)}


def test_table_has_every_rule():
    assert sorted(TABLE) == sorted(NAMES)


@pytest.mark.parametrize("rule", NAMES)
def test_row_was_made_with_the_defaults_of_today(rule: str):
    """A setting that is new since then is not in the row, and one that is gone no longer counts."""
    config = plan(rule, None, None, {}).config
    row = TABLE[rule]["config"]
    assert row.keys() & config.keys() >= {"algo", "data", "net", "epochs", "lr"}
    assert {key: row[key] for key in row.keys() & config.keys()} == {
        key: config[key] for key in row.keys() & config.keys()
    }


@pytest.mark.parametrize("rule", NAMES)
def test_rule_says_why_it_leaves_a_common_default(rule: str):
    cls = RULES.load(rule)
    named = [name for names in cls.because for name in names]
    assert len(named) == len(set(named))
    here = {**{field.name: field.default.default for field in dataclasses.fields(cls.Settings)}, **cls.prefer}
    assert {*named} == {name for name in COMMON if here[name] != COMMON[name]}
    assert all(departure.reason for departure in cls.departures())


def test_backprop_and_the_local_rule_beside_it_share_their_defaults():
    """Else the first comparison that a newcomer sees is one of schedules."""
    ours, theirs = (plan(rule, None, None, {}).config for rule in ("mono-forward", "backprop"))
    assert (ours["epochs"], ours["lr_schedule"]) == (8, "cosine")
    assert {key: ours[key] for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]} == {
        "algo": "mono-forward"
    }


@pytest.mark.parametrize("rule", ["cafo", "channel-ff", "local-loss"])
def test_rule_of_convolutions_builds_them_for_images_alone(rule: str):
    assert [default_net(rule, data) for data in ("mnist", "cifar10", "folder:x", "vowels", "cora")] == [
        "cnn",
        "cnn",
        "cnn",
        "mlp",
        "gnn",
    ]
