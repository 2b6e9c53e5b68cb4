"""Tables of names and values, and figures as people read them, with their units."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, markup=False)


def print_table(rows: Iterable[Sequence[object]], title: str = "", headers: Sequence[str] = ()) -> None:
    """Print rows as columns.

    Args:
        rows: cells of each row, as many in all of them.
        title: line above the table.
        headers: names of the columns.
    """
    cells = [tuple(map(str, row)) for row in rows]
    if console.is_terminal:
        grid = Table(title=title or None, title_justify="left", title_style="bold", box=None, show_header=bool(headers))
        for i in range(len(cells[0]) if cells else 0):
            grid.add_column(headers[i] if headers else "", style="cyan" if i == 0 else "", overflow="fold")
        for row in cells:
            grid.add_row(*row)
        console.print(grid)
        return
    if title:
        print(title)
    lines = [*([tuple(headers)] if headers else []), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_mapping(values: Mapping[str, Any], as_json: bool = False, title: str = "") -> None:
    """Print names and values, one a line; of ``notes`` each has a line of its own.

    Args:
        values: any JSON.
        as_json: print it as such.
        title: line above the table.
    """
    if as_json:
        print(json.dumps(values, indent=1))
    else:
        print_table([row for key, value in values.items() for row in _rows(key, value)], title)


def _rows(key: str, value: Any) -> list[tuple[str, str]]:
    lines = value if key == "notes" and value else [text(value)]
    return [("" if place else key.replace("_", " "), line) for place, line in enumerate(lines)]


def text(value: Any) -> str:
    """Any JSON value on one line; long lists are shortened."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        if len(value) > 20:
            return f"{text(value[:3])} … {text(value[-1])} ({len(value)} in all)"
        return " ".join(map(text, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def metric_text(value: float | None, metric: str) -> str:
    """The value of a metric, accuracies and shares in percent; "-" when there is none."""
    if value is None:
        return "-"
    return f"{value:.2%}" if metric.endswith(("accuracy", "share")) else f"{value:.6g}"


def time_text(seconds: float | None) -> str:
    """A time, from a minute on also in hours and minutes."""
    from bpfree.cli.progress import clock

    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds:.0f} s ({clock(seconds)})"


def energy_text(reading: Mapping[str, Any] | None) -> str:
    """Joules with their label; the reason when there is no such figure."""
    from energy import show

    if reading is None or reading["total_j"] is None:
        parts = (reading or {}).get("components", {})
        reasons = dict.fromkeys(part["reason"] for part in parts.values() if part.get("reason"))
        return f"unavailable: {'; '.join(reasons) or 'no meter'}"
    return show(reading["total_j"], reading["method"]).replace("(est.)", f"(est., {reading['method']})")
