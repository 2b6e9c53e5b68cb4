"""Pieces of reStructuredText for the generated pages."""

import re
from collections.abc import Sequence
from typing import Any

from bpfree.config.settings import Option

COLUMNS = ("setting", "default", "takes", "meaning")


def heading(text: str, line: str) -> list[str]:
    """Write a title with ``line`` under it."""
    return [text, line * len(text), ""]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a list-table.

    Args:
        head: titles of the columns.
        rows: cells as reStructuredText; one may have several paragraphs.

    Returns:
        The lines, the last one blank.
    """
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            first, *rest = cell.splitlines() or [""]
            lines.append(f"   {'*' if number == 0 else ' '} - {first}")
            lines += [f"       {line}" if line else "" for line in rest]
    return [*lines, ""]


def plain(text: str) -> str:
    """Write text with `` `code` `` in it so that nothing else is read as markup."""
    parts = re.split(r"`+", text.replace("**", ""))
    parts[::2] = [re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
    return "``".join(parts)


def setting_row(option: Option) -> tuple[str, ...]:
    """Describe one setting in the order of `COLUMNS`."""
    meaning = option.help + (f" [{option.unit}]" if option.unit else "")
    return f"``{option.flag}``", default(option.default), plain(option.range or option.type), plain(meaning)


def default(value: Any) -> str:
    """Write a default as a cell of a table."""
    if value is None or value == "":
        return "--"
    return typed(value) if isinstance(value, bool) else f"``{typed(value)}``"


def typed(value: Any) -> str:
    """Write a value as a user would type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
