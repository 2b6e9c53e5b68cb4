"""``render(report, folder)``: every file of a report, drawn from ``report.json`` alone."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bpfree.errors import InputError
from bpfree.reports import tables
from bpfree.reports.build import SCHEMA
from bpfree.reports.migrations import migrated
from bpfree.reports.pages import page
from bpfree.training.files import write_json, write_text


def render(report: Mapping[str, Any], folder: str | os.PathLike[str], draft: bool = False) -> list[Path]:
    """Write report.json, .html, .md, CSV and LaTeX tables.

    Args:
        report: as `bpfree.reports.build.build` makes it, or an earlier version did.
        folder: for the files; made where it does not exist.
        draft: accept energies of a test double; every table then says so.

    Returns:
        The paths of the files.

    Raises:
        InputError: another schema, a fake meter without ``draft``, or a folder that cannot be made.
        RunFailed: a file that cannot be written into it.
    """
    report = migrated(report)
    if report.get("schema") != SCHEMA:
        raise InputError(f"the report has schema {report.get('schema')!r}; this version draws {SCHEMA!r}")
    if report["fake"] and not draft:
        raise InputError(
            "this report cannot be published: energy in it comes from a fake device (a test double); "
            "a draft that says so on every table is possible"
        )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    texts = {
        "report.html": page(report),
        "report.md": tables.markdown(report),
        "results.csv": tables.results_csv(report),
        "comparisons.csv": tables.comparisons_csv(report),
        "runs.csv": tables.runs_csv(report),
        "results.tex": tables.latex(report),
    }
    write_json(report, folder / "report.json", "report")
    for name, text in texts.items():
        write_text(text, folder / name, "report")
    return [folder / name for name in ("report.json", *texts)]
