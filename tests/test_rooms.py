"""The rooms of the package: each folder may import those below it, and nothing else.

Every folder and every loose file of ``bpfree/`` has its place in ``ORDER``; a new one without a place fails. Imports
within functions count as those at the top of a file do; those that only a type checker reads do not. ``LAZY`` lists the
exceptions with their reasons, and one that is no longer needed fails too. Names that become modules at run time (the
registry of rules, nets and data) are no imports of a file.
"""

import ast
import graphlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import bpfree
import energy

PACKAGE, METER = Path(bpfree.__file__).parent, Path(energy.__file__).parent
ORDER: tuple[tuple[str, ...], ...] = (  # from the top down; rooms of one row do not import each other
    ("__init__", "__main__"),
    ("cli",),
    ("studies",),
    ("reports",),
    ("runs",),
    ("rules",),
    ("nets",),
    ("data",),
    ("training",),
    ("config", "graphs"),
    ("functional",),
    ("errors",),
    ("energy",),
)
HEIGHT = {room: -row for row, rooms in enumerate(ORDER) for room in rooms}
LAZY = {  # (module, function, imported room): why the arrow points up
    ("bpfree.training.trainer", "__init__", "nets"): "a trainer with a net's name builds the net",
    ("bpfree.cli.commands.application", "root", "__init__"): "the version is that of the package's root",
    ("bpfree.training.predicting", "_predicted", "data"): "raw examples are read and normalised by the data's room",
    ("bpfree.training.trainer", "fit", "data"): "fit is the way in: it turns the user's arrays or loaders into sources",
}


@dataclass(frozen=True)
class Import:
    """One import: of ``target``, a module or a name in one, in a function of ``module`` or at its top ("")."""

    module: str
    function: str
    target: str


def module_of(path: Path) -> str:
    """``…/bpfree/data/__init__.py`` -> ``bpfree.data``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room that a module belongs to; ``bpfree`` itself is ``__init__``."""
    package, _, rest = module.partition(".")
    return package if package == "energy" else rest.partition(".")[0] or "__init__"


def imports_of(nodes: Iterable[ast.AST], module: str, function: str = "") -> Iterator[Import]:
    """The imports of a syntax tree that run."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imports_of(node.orelse, module, function)
        elif isinstance(node, ast.Import):
            yield from (Import(module, function, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import: write it in full"
            yield from (Import(module, function, f"{node.module}.{alias.name}") for alias in node.names)
        else:
            inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
            yield from imports_of(ast.iter_child_nodes(node), module, inner)


def names_within(module: str) -> Iterator[str]:
    """A module and the packages that it is in, from the inside: all that an import of it runs."""
    while module:
        yield module
        module = module.rpartition(".")[0]


FILES = [*PACKAGE.rglob("*.py"), *METER.rglob("*.py")]
MODULES = {module_of(path) for path in FILES}
IMPORTS = [
    imported
    for path in FILES
    for imported in imports_of([ast.parse(path.read_text(encoding="utf-8"))], module_of(path))
]
INNER = [  # those of modules of the project, with the module: the longest part of the target that is one
    (imported, next(name for name in names_within(imported.target) if name in MODULES))
    for imported in IMPORTS
    if imported.target.partition(".")[0] in ("bpfree", "energy")
]


def test_every_room_has_its_place():
    rooms = {room_of(module) for module in MODULES}
    assert rooms == set(HEIGHT)


@pytest.mark.parametrize("room", HEIGHT)
def test_imports_point_downward(room):
    arrows = {
        (imported.module, imported.function, room_of(target))
        for imported, target in INNER
        if room_of(imported.module) == room != room_of(target)
    }
    assert {arrow for arrow in arrows if HEIGHT[arrow[2]] >= HEIGHT[room]} - set(LAZY) == set()


def test_exceptions_are_needed_and_wait_for_a_call():
    assert set(LAZY) <= {(imported.module, imported.function, room_of(target)) for imported, target in INNER}
    assert all(function for _, function, _ in LAZY)


def test_modules_import_each_other_in_no_circle():
    """At import time, each with the packages that it is in; an import within a function waits until it is called."""
    before: dict[str, set[str]] = {module: set() for module in MODULES}
    for imported, target in INNER:
        if not imported.function:
            before[imported.module] |= set(names_within(target)) - set(names_within(imported.module))
    tuple(graphlib.TopologicalSorter(before).static_order())


def test_the_meter_needs_neither_torch_nor_this_package():
    targets = {imported.target.partition(".")[0] for imported in IMPORTS if room_of(imported.module) == "energy"}
    assert not targets & {"torch", "bpfree"}
