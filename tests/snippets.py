"""Snippets that README and documentation print: found, run in order, and checked against the command line."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bpfree.cli.commands import app
from bpfree.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not {"generated", "_build"} & set(page.parts)]

NETS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {  # name -> shape of an input, settings of a small net
    "mlp": ((12,), {"hidden": (16, 8)}),
    "cnn": ((1, 8, 8), {"channels": (4, 8)}),
    "vgg8b": ((1, 16, 16), {"width": 0.125, "dropout": 0}),
    "conv1d": ((8, 6), {}),
    "gru": ((8, 6), {"hidden": (16,)}),
    "acoustic": ((12,), {}),
}


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a page that are marked with a language; "" for those that are not."""
    fences = re.findall(r"^```(\S*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for mark, text in fences if mark == language]


def python_blocks(page: Path) -> list[str]:
    """Python code of a page, a string a block."""
    return blocks(page, "python")


def commands(page: Path) -> Iterator[list[str]]:
    """Words behind ``bpfree`` of every command in a page's blocks without language."""
    for line in re.split(r"&&|\n", "\n".join(blocks(page, ""))):
        if re.match(r"\s*(bpfree|torchrun)\s", line):
            words = shlex.split(line, comments=True)
            yield words[words.index("bpfree") + 1 :]


def flags_of(command: str) -> set[str]:
    """Flags that a command declares itself."""
    group: Any = typer.main.get_command(app)
    return {flag for parameter in group.commands[command].params for flag in parameter.opts}


def rules_in(names: dict[str, Any]) -> list[type[Trainer]]:
    """Rules that executed snippets have defined."""
    return [
        thing
        for thing in names.values()
        if isinstance(thing, type) and issubclass(thing, Trainer) and thing.__module__ == "snippet"
    ]
