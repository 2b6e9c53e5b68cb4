"""Docstrings as reStructuredText: indented paragraphs are equations or commands, and prose has no markup but code."""

import re
from typing import Any

_CONTINUES = re.compile(r"\s*([-*]|\d+\.)\s|.*::$")  # items of lists, and what announces a literal block already
_MARKUP = re.compile(r"(?<!\\)[|*](?!\s)|(?<=\S)(?<!\\)[|*]")  # of |x| and **settings; not the bullet of a list


def as_markup(lines: list[str]) -> list[str]:
    """Show what is indented as it is written, and take bars and stars of prose literally.

    An indented paragraph counts when a blank line precedes it. Sections such as ``Args:`` have no blank line behind
    their heading, so they stay as they are.

    Args:
        lines: the docstring, without the indentation that all its lines share.

    Returns:
        The lines of reStructuredText.
    """
    made: list[str] = []
    literal, before = False, ""
    for line in lines:
        indented = line.startswith("    ")
        if indented and not literal and made and not made[-1].strip() and not _CONTINUES.match(before):
            made += ["::", ""]
            literal = True
        elif line.strip() and not indented:
            literal = False
        if line.strip() and not indented:
            before = line
        made.append(line if literal else _plain(line))
    return made


def _plain(line: str) -> str:
    parts = line.split("``")
    parts[::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "``".join(parts)


def process_docstring(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Apply `as_markup` to a docstring that autodoc read, before napoleon does its part."""
    lines[:] = as_markup(lines)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", process_docstring, priority=100)
    return {"parallel_read_safe": True}
