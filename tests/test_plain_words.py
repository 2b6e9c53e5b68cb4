"""Plain words: docstrings begin with a verb or a noun, and a name says what it holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("bpfree", "energy") for path in (ROOT / package).rglob("*.py"))
QUESTIONS = {"What", "Who", "Whose", "Which", "Whether", "How"}  # none of them says what a thing is or does
VAGUE = {"found", "chosen", "given", "told", "asked", "answers"}  # participles where a noun would say what it is
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def first_words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and first word of every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, re.split(r"\W", text.strip(), maxsplit=1)[0]


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every binding: assignments, loops, targets of ``with`` and ``:=``, arguments and fields."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.AST]:
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_docstrings_do_not_begin_with_a_question_word(trees: dict[str, ast.AST]):
    """All offenders at once, as FILE:LINE."""
    places = [f"{f}:{n}: {word}" for f, tree in trees.items() for n, word in first_words(tree) if word in QUESTIONS]
    assert not places, f"{len(places)} docstrings begin with a question word:\n" + "\n".join(places)


def test_names_are_nouns(trees: dict[str, ast.AST]):
    """All offenders at once, as FILE:LINE."""
    places = [f"{f}:{n}: {name}" for f, tree in trees.items() for n, name in bound_names(tree) if name in VAGUE]
    assert not places, f"{len(places)} names that do not say what they hold:\n" + "\n".join(places)


def test_both_checks_see_what_they_are_for():
    """A file with one offender of each kind, and with look-alikes that are none."""
    tree = ast.parse('"""How it runs."""\ndef f(given):\n    """Whatever."""\n    found, x = 1, 2\n    foundling = x\n')
    assert [word for _, word in first_words(tree) if word in QUESTIONS] == ["How"]
    assert sorted(name for _, name in bound_names(tree) if name in VAGUE) == ["found", "given"]
