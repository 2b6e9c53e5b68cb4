"""`report`: from folders of runs and studies to the files of a report.

``build(study)`` computes one JSON object, ``render(report, folder)`` draws every file from that alone.

    from bpfree.reports.report import build, render
    from bpfree.reports.gathering import collect

    render(build(collect(["study/"])), "study/")  # report.json, report.html, report.md, CSV and LaTeX tables

`report` does all of it for folders of any kind, as ``bpfree report`` does.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bpfree.errors import InputError
from bpfree.reports.build import SCHEMA, build
from bpfree.reports.gathering import collect
from bpfree.reports.render import render
from bpfree.reports.study import FILE
from energy.carbon import intensity

__all__ = ["SCHEMA", "build", "render", "report"]


def report(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    co2: str = "",
    draft: bool = False,
    pue: float = 1.0,
) -> tuple[dict[str, Any], list[Path]]:
    """Write the report of studies and runs.

    Args:
        paths: folders of studies, of runs, or of folders with runs in them.
        out: folder of the files; None: the folder of the study, or ``report`` for runs made elsewhere.
        co2: a country (FRA) or g CO2e per kWh, for a derived CO2e.
        draft: accept energies of a test double, marked as such.
        pue: power usage effectiveness: power of the whole building over that of its computers, 1 or more.

    Returns:
        The report as JSON, and the paths of its files.

    Raises:
        InputError: nothing to report, a record that is damaged or edited, an unknown country, a ``pue`` below 1 or
            without ``co2``, a fake meter.
    """
    if pue != 1 and not co2:
        raise InputError("PUE scales CO2e: give its intensity too, a country (FRA) or g CO2e per kWh")
    at = intensity(co2) if co2 else None
    computed = build(collect(paths), at, pue)
    return computed, render(computed, report_folder(paths, out), draft)


def report_folder(paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the files of a report.

    Args:
        paths: folders that it is of.
        out: folder that the user names; None: the folder of the study, or ``report`` for runs made elsewhere.
    """
    planned = len(paths) == 1 and (Path(paths[0]) / FILE).exists()
    return Path(out or (paths[0] if planned else "report"))
