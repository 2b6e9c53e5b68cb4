"""Who may import whom: the rooms of the package stand above one another, and imports point downward."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bpfree

PACKAGE = Path(bpfree.__file__).parent
FLOORS = (  # the lowest first; rooms on one floor may use each other
    ("functional",),
    ("batch", "evaluation", "owners", "checkpoint"),
    ("trainer", "checks", "callbacks"),
    ("rules", "nets", "data"),
    ("loop",),
    ("run", "model"),
    ("arms", "compare", "tune"),
    ("cli",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
UPWARD = {("trainer", "loop")}  # `Trainer.fit` is the way into the loop


def imported(node: ast.AST) -> Iterator[str]:
    """Modules that ``node`` imports when it runs, in functions too; not what only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imported(child)


@pytest.mark.parametrize("room", FLOOR)
def test_imports_point_downward(room):
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] in (room, f"{room}.py")]
    assert files
    for path in files:
        for name in imported(ast.parse(path.read_text())):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if package == "bpfree" and other in FLOOR and (room, other) not in UPWARD:
                assert FLOOR[other] <= FLOOR[room], f"{path} imports {name}"
