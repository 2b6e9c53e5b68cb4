"""The README is true: its code is the code that runs."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bpfree import Local, Trainer, rules
from bpfree.rules.mono_forward import MonoForward

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block_with(text: str) -> str:
    (found,) = [code for code in CODE if text in code]
    return found


def test_hero_rule_trains_exactly_like_the_built_in_one():
    """``local_losses`` as printed, in place of the built-in one: the same weights after training."""
    names = {"Trainer": Trainer, "Local": Local, "F": F}
    exec(block_with("class MonoForward(Trainer)"), names)
    hero = type("Hero", (MonoForward,), {"local_losses": names["MonoForward"].local_losses})
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(200, 12, generator=generator), torch.arange(200) % 4
    states = []
    for rule in (hero, MonoForward):
        trainer = rule(hidden=(8, 8), epochs=2)
        trainer.fit((x, y), seed=0, threads=1)
        states.append(trainer.state_dict())
    for name, weights in states[0].items():
        assert torch.equal(weights, states[1][name]), name


def test_rule_to_copy_is_the_tested_example_and_short():
    code = block_with("class Margin(Trainer)").strip()
    assert code in (ROOT / "examples" / "your_own_rule.py").read_text()
    lines = [line for line in code.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(lines) <= 15


@pytest.mark.parametrize("name", rules.RULES.builtin)
def test_table_has_every_rule(name: str):
    assert f"| `{name}` |" in README
