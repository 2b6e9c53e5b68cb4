"""The README is short and true: its code is the code that runs, on every kind of net."""

import re
import runpy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from snippets import NETS, ROOT, python_blocks
from torch import Tensor

import bpfree
from bpfree import Batch, Local, Trainer
from bpfree.rules.mono_forward import MonoForward

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block_with(text: str) -> str:
    (block,) = [code for code in python_blocks(ROOT / "README.md") if text in code]
    return block


def bright(shape: tuple[int, ...], rows: int = 240) -> tuple[Tensor, Tensor]:
    """Four classes that no class mean confuses: the quarter of the input that is brighter by 1."""
    y = torch.arange(rows) % 4
    quarter = torch.arange(torch.Size(shape).numel()) * 4 // torch.Size(shape).numel()
    x = torch.rand(rows, quarter.numel(), generator=torch.Generator().manual_seed(0)) + (quarter == y[:, None]).float()
    return x.reshape(rows, *shape), y


def trained(rule: type[Trainer], net: str, epochs: int) -> tuple[Trainer, Tensor, Tensor]:
    shape, settings = NETS[net]
    x, y = bright(shape)
    trainer = rule(net=net, epochs=epochs, batch_size=16, lr=3e-3, lr_schedule="constant", **settings)
    trainer.fit((x, y), seed=0, threads=1, normalize="none")  # the rows that are predicted are these
    return trainer, x, y


def test_at_most_700_words():
    assert len(README.split()) <= 700


@pytest.mark.parametrize("net", NETS)
def test_hero_rule_trains_exactly_like_the_built_in_one(net: str):
    """``local_losses`` as printed, in place of the built-in one: the same weights after training."""
    names: dict[str, Any] = {"Trainer": Trainer, "Local": Local, "F": F}
    exec(block_with("class MonoForward(Trainer)"), names)
    hero = type("Hero", (MonoForward,), {"local_losses": names["MonoForward"].local_losses})
    states = [trained(rule, net, epochs=2)[0].state_dict() for rule in (hero, MonoForward)]
    for name, weights in states[0].items():
        assert torch.equal(weights, states[1][name]), name


@pytest.mark.parametrize("net", NETS)
def test_rule_to_copy_learns_on_every_kind_of_net(net: str):
    """Nearest class means are always right here; the rule is right nine times in ten."""
    names = runpy.run_path(str(ROOT / "examples" / "your_own_rule.py"))
    trainer, x, y = trained(names["Margin"], net, epochs=12)
    means = torch.stack([x[y == c].mean(0) for c in range(4)]).flatten(1)
    assert (torch.cdist(x.flatten(1), means).argmin(1) == y).all()
    assert (trainer.predict(Batch(x)).argmax(1) == y).float().mean() >= 0.9


def test_rule_to_copy_is_the_example_and_short():
    code = block_with("class Margin(Trainer)").strip()
    assert code in (ROOT / "examples" / "your_own_rule.py").read_text(encoding="utf-8")
    lines = [line for line in code.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(lines) <= 15


def test_python_snippet_prints_accuracy_and_label(tmp_path, monkeypatch, capsys):
    """As printed, but for fewer digits: an accuracy in 0..1 and one of the labels of energy."""
    from energy import METHODS

    monkeypatch.chdir(tmp_path)
    code = block_with("bpfree.train(")
    small = code.replace("epochs=5", "epochs=1, subset=300, hidden=(16,)")
    assert small != code
    exec(small, {})
    accuracy, label = capsys.readouterr().out.split()[-2:]
    assert 0 <= float(accuracy) <= 1
    assert label in METHODS


def test_one_version_everywhere():
    files = {"CITATION.cff": r"^version: (.+)", "CHANGELOG.md": r"^## ([\d.]+)"}
    for file, pattern in files.items():
        match = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert match, file
        assert match[1] == bpfree.__version__, file
