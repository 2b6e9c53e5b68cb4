"""Pages made from the code when the documentation is built: rules, settings, command line, examples, reports."""

import ast
import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import rooms
import typer
import yaml
from docstrings import as_markup
from markup import COLUMNS, default, heading, plain, setting_row, table, typed

from bpfree.cli.commands import app as commands
from bpfree.config.settings import options
from bpfree.reports.render import render
from bpfree.training.trainer import RuleSettings, Trainer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
INHERITED = {option.name for option in options(RuleSettings)}


def rule_files() -> dict[str, Path]:
    """Name of a rule -> its file, in alphabetical order."""
    files = (ROOT / "bpfree" / "rules").rglob("[!_]*.py")
    return {path.stem.replace("_", "-"): path for path in sorted(files, key=lambda path: path.stem)}


def docstring(file: Path) -> tuple[str, list[str]]:
    """Title and further lines of a module's docstring, without importing it."""
    title, *body = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()
    return title, as_markup(body)


def rule_page(name: str, file: Path, results: str) -> str:
    """Write the page of one rule: its docstring, its settings, its recipes and their results.

    Args:
        name: of the rule, such as ``mono-forward``.
        file: its source.
        results: the text of ``examples/RESULTS.md``.

    Returns:
        A page of reStructuredText.
    """
    title, body = docstring(file)
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    (rule,) = [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Trainer) and cls.__module__ == module.__name__
    ]
    settings = [setting_row(option) for option in options(rule.Settings) if option.name not in INHERITED]
    recipes = [
        (f"``{path.stem}``", plain(recipe["about"]), rows_about(path.stem, results) or "--")
        for path in sorted((EXAMPLES / "recipes").glob("*.yaml"))
        if (recipe := yaml.safe_load(path.read_text(encoding="utf-8"))).get("algo") == name
    ]
    return "\n".join(
        [
            *heading(name, "="),
            f"**{plain(title)}**",
            *map(paragraph, body),
            "",
            *heading("Settings", "-"),
            defaults(rule),
            "",
            f"{'Beside' if settings else 'Only'} :doc:`those of every rule </generated/settings>`; "
            f"``bpfree info {name}`` prints all, with the ranges that a search uses.",
            "",
            *(table(COLUMNS, settings) if settings else ()),
            *heading("Recipes and results", "-"),
            "Run one with ``bpfree reproduce RECIPE``. The right column has its rows of "
            ":doc:`/generated/pages/results`, where columns and protocols are explained.",
            "",
            *(table(("recipe", "configuration", "results"), recipes) if recipes else ["No recipe yet.", ""]),
            *heading("Class", "-"),
            f".. autoclass:: {module.__name__}.{rule.__name__}",
            "",
        ]
    )


def defaults(rule: type[Trainer]) -> str:
    """Name a rule's data, net and own defaults, with the reason of each that leaves the common one."""
    net = f"net ``{rule.net}``" if rule.net else "the net of the data set"
    departures = rule.departures()
    other = {name: value for name, value in rule.prefer.items() if name not in {row.name for row in departures}}
    values = ", ".join(f"``{name.replace('_', '-')}={typed(value)}``" for name, value in other.items())
    lines = [f"Defaults: data ``{rule.data}``, {net}{values and ', and ' + values}.", ""]
    rows = [
        (f"``--{row.name.replace('_', '-')}``", default(row.value), default(row.common), plain(row.reason))
        for row in departures
    ]
    return "\n".join([*lines, *(table(("setting", "default here", "of every rule", "reason"), rows) if rows else ())])


def paragraph(line: str) -> str:
    """Begin a paragraph with a bold word at a line such as ``Shapes: …``."""
    return re.sub(r"^(Shapes|Costs|Differences from [^:`]+):", r"\n**\1**:", line)


def rows_about(recipe: str, results: str) -> str:
    """Collect the rows of the results' tables that name a recipe, a paragraph each."""
    rows = [
        line.strip("|").split("|") for line in results.splitlines() if line.startswith("|") and f"`{recipe}`" in line
    ]
    return "\n\n".join("; ".join(plain(cell.strip()) for cell in row if cell.strip()) for row in rows)


def linked(text: str) -> str:
    """Link a Markdown page of the examples to the pages of studies, drawn here in place of their Markdown files."""
    return re.sub(r"\[([^]]+)\]\((study-[^/]+)/report\.md\)", r'<a href="../../reports/\2/report.html">\1</a>', text)


def settings_page() -> str:
    """Write the page of the settings that every rule has."""
    text = (
        "A setting is a flag of ``bpfree train`` (``--lr 0.01``), a pair (``--set lr=0.01``), a line of the file given "
        "with ``--config`` and an argument in Python (``lr=0.01``). Flags count before ``--set``, that before the "
        "file, the file before the rule's own defaults, and those before the defaults below. Nets, data and the loop "
        "have settings too: ``bpfree train --algo RULE --net NET --data DATA --help`` lists all that apply."
    )
    rows = [setting_row(option) for option in options(RuleSettings)]
    return "\n".join([*heading("Settings of every rule", "="), text, "", *table(COLUMNS, rows)])


def command_page() -> str:
    """Write the page of the command line from the declarations of its commands."""
    group: Any = typer.main.get_command(commands)
    parent = group.context_class(group, info_name="bpfree")
    lines = [
        *heading("Command line", "="),
        "``bpfree COMMAND --help`` prints the same. Settings of rules, nets and data are flags of ``train``, ``tune``, "
        "``compare``, ``reproduce`` and ``data`` as well: :doc:`/generated/settings`.",
        "",
    ]
    for name, command in sorted(group.commands.items()):
        context = command.context_class(command, info_name=name, parent=parent)
        records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
        rows = [(f"``{form}``", plain(text) or "--") for form, text in records]
        lines += [*heading(f"bpfree {name}", "-"), *map(plain, (command.help or "").splitlines()), ""]
        lines += table(("argument or option", "meaning"), rows)
    return "\n".join(lines)


def example_script(file: Path) -> str:
    """Rewrite an example for sphinx-gallery, which needs a title with a line under it and blocks marked as such."""
    text = file.read_text(encoding="utf-8")
    title, body = docstring(file)
    title = title.rstrip(".")
    code = "\n".join(text.splitlines()[ast.parse(text).body[0].end_lineno :])
    return "\n".join(['r"""', *heading(title, "="), *body, '"""', code, ""])


def write_all(out: Path) -> None:
    """Make every generated page.

    Args:
        out: the folder of generated files; it is emptied first.
    """
    shutil.rmtree(out, ignore_errors=True)
    results = (EXAMPLES / "RESULTS.md").read_text(encoding="utf-8")
    texts = {f"rules/{name}.rst": rule_page(name, file, results) for name, file in rule_files().items()}
    texts |= {f"scripts/{file.name}": example_script(file) for file in sorted(EXAMPLES.glob("*.py"))}
    title = heading("Examples", "=")
    gallery = [*title, "Each has at most 100 lines. ``BPFREE_QUICK=1`` makes it small, as in the tests.", ""]
    texts |= {"scripts/GALLERY_HEADER.rst": "\n".join(gallery), "rooms.svg": rooms.drawing()}
    texts |= {"cli.rst": command_page(), "settings.rst": settings_page()}
    texts |= {f"pages/{file.name.lower()}": linked(file.read_text(encoding="utf-8")) for file in EXAMPLES.glob("*.md")}
    for name, text in texts.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    for picture in EXAMPLES.glob("*.png"):
        shutil.copy(picture, out / "pages")
    for report in sorted(EXAMPLES.glob("*/report.json")):
        render(json.loads(report.read_text(encoding="utf-8")), out / "extra" / "reports" / report.parent.name)
