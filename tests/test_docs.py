"""The documentation is true: its snippets run, its commands parse, its links lead somewhere, its pages are complete."""

import dataclasses
import importlib
import json
import pkgutil
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from snippets import NETS, PAGES, ROOT, commands, flags_of, python_blocks, rules_in

import bpfree
from bpfree.reports import tables
from bpfree.reports.migrations import migrated
from bpfree.rules.backprop import Backprop
from bpfree.rules.mono_forward import MonoForward
from bpfree.training.data import Spec
from energy import Meter

DOCS = ROOT / "docs"
sys.path.append(str(DOCS / "_ext"))
import docstrings  # noqa: E402
import rooms  # noqa: E402

RULES = [path.stem.replace("_", "-") for path in (ROOT / "bpfree" / "rules").rglob("[!_]*.py")]
WITH_CODE = [page for page in PAGES if python_blocks(page) and page.name != "README.md"]
ALL = [*PAGES, ROOT / "tests" / "README.md", ROOT / "examples" / "RESULTS.md"]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def executed(page: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """Names that a page's blocks define, executed in order in a folder of their own."""
    monkeypatch.chdir(folder)
    module = types.ModuleType("snippet")
    monkeypatch.setitem(sys.modules, "snippet", module)
    for block in python_blocks(DOCS / page):
        exec(block, module.__dict__)
    return module.__dict__


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_snippets_run(page: Path, tmp_path, monkeypatch):
    """Every page that has code is executed here, in the order in which a reader meets it."""
    assert executed(str(page.relative_to(DOCS)), monkeypatch, tmp_path)


@pytest.mark.parametrize("net", ["mlp", "cnn", "conv1d"])
def test_rules_shown_train_every_block(net: str, tmp_path, monkeypatch):
    """Each rule of the page moves the weights of every block, and scores every class of every row."""
    rules = rules_in(executed("write/rule.md", monkeypatch, tmp_path))
    assert {rule.__name__ for rule in rules} == {"Margin", "PowerMargin"}
    shape, settings = NETS[net]
    x, y = torch.rand(48, *shape), torch.arange(48) % 4
    for rule in rules:
        trainer = rule(net=net, epochs=1, keep="last", **settings)
        trainer.build(Spec("toy", shape, 4, None, "classification", "accuracy", True, "", ""), seed=0)
        before = [[p.clone() for p in block.parameters()] for block in trainer.blocks]
        trainer.fit((x, y), seed=0, threads=1)
        for old, block in zip(before, trainer.blocks, strict=True):
            assert all(not torch.equal(a, b) for a, b in zip(old, block.parameters(), strict=True))
        assert trainer.predict(bpfree.Batch(x)).shape == (48, 4)


@pytest.mark.parametrize("hidden_only", [True, False])
def test_net_shown_fits_rules_with_and_without_heads(hidden_only: bool, tmp_path, monkeypatch):
    names = executed("write/net.md", monkeypatch, tmp_path)
    spec = Spec("toy", (12,), 4, None, "classification", "accuracy", True, "", "")
    blocks = names["build"](spec, names["Settings"](widths=(6, 5)), hidden_only=hidden_only)
    rule = MonoForward if hidden_only else Backprop
    assert len(rule(blocks, epochs=1).fit((torch.rand(40, 12), torch.arange(40) % 4), seed=0)) == 1


def test_data_set_shown_is_learned(tmp_path, monkeypatch):
    """Left and right differ by 1 in every pixel: no test image may be mistaken."""
    names = executed("write/data.md", monkeypatch, tmp_path)
    record = bpfree.train("mono-forward", names["data"], hidden=(16,), epochs=5, lr=0.01, meter="none")
    assert record["result"]["test"] == 1


def test_meter_shown_counts_its_watts(tmp_path, monkeypatch, scripted):
    """20 W for 3 s by the source's own clock are 60 J."""
    names = executed("write/meter.md", monkeypatch, tmp_path)
    names["time"] = types.SimpleNamespace(monotonic=iter((1.0, 4.0)).__next__)
    scripted(names["WallPlug"]())
    meter = Meter()
    with meter.window("work"):
        pass
    reading = meter.readings()["work"]
    assert (reading["total_j"], reading["method"]) == (60.0, "measured:counter")


def test_instrument_shown_can_be_trained_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = python_blocks(DOCS / "physical.md")
    Path("bench.py").write_text(code, encoding="utf-8")
    record = bpfree.train(
        "physical-ff", "vowels", net="instrument", instrument="bench.py:bench", epochs=1, meter="none"
    )
    assert record["status"] == "finished"


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=name_of)
def test_commands_printed_exist_with_their_flags(page: Path):
    """A flag is the command's own, or a setting of some rule, net, data set or the loop."""
    settings = all_settings()
    for command, *words in commands(page):
        assert command in (
            "train",
            "compare",
            "tune",
            "reproduce",
            "report",
            "data",
            "predict",
            "info",
            "list",
            "doctor",
        )
        for word in words:
            if word.startswith("--"):
                assert word in flags_of(command) | settings, f"bpfree {command} {word}"


def all_settings() -> set[str]:
    """Flags of every settings class of the package."""
    flags = set()
    for module in pkgutil.walk_packages(bpfree.__path__, "bpfree."):
        if not module.name.endswith("__main__"):
            for thing in vars(importlib.import_module(module.name)).values():
                if isinstance(thing, type) and dataclasses.is_dataclass(thing):
                    flags |= {"--" + field.name.replace("_", "-") for field in dataclasses.fields(thing)}
    return flags


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_links_lead_somewhere(page: Path):
    """Relative links to files of the repository; generated pages are Sphinx's to check."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and "generated/" not in target:
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("rule", RULES)
def test_table_has_every_rule(rule: str):
    assert f"| [`{rule}`](generated/rules/{rule}.rst) |" in (DOCS / "rules.md").read_text(encoding="utf-8")


def test_picture_shows_every_room():
    """Every folder of the package, the errors, and the meter below them."""
    folders = {path.name for path in (ROOT / "bpfree").iterdir() if [*path.glob("*.py")]}
    drawn = {name for floor in rooms.ROOMS for name, _ in floor}
    assert drawn == folders | {"errors"}
    assert all(f">{name}</tspan>" in rooms.drawing() for name in drawn | {"energy"})


@pytest.mark.parametrize("study", ["study-mnist-2x1000", "study-cifar10-3x2000"])
def test_committed_reports_are_drawn_from_their_numbers(study: str):
    """The documentation draws the page from ``report.json``; the Markdown beside it is of the same numbers."""
    folder = ROOT / "examples" / study
    report = migrated(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    assert tables.markdown(report) == (folder / "report.md").read_text(encoding="utf-8")


def test_equations_of_docstrings_are_shown_as_written():
    """An indented paragraph is literal, a section is not, and |x| and **x in prose are no markup."""
    text = ["Of |x| and **x:", "", "    y = |x| * 2", "", "Args:", "    x: ``|x|``"]
    assert docstrings.as_markup(text) == [
        r"Of \|x\| and \*\*x:",
        "",
        "::",
        "",
        "    y = |x| * 2",
        "",
        "Args:",
        "    x: ``|x|``",
    ]
