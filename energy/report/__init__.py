"""Reports: ``build(study)`` computes one JSON object, ``render(report, folder)`` draws every file from that alone.

from energy.report import build, render
from energy.study import collect
render(build(collect(["study/"])), "study/")   # report.json, report.html, report.md, CSV and LaTeX tables
"""

from energy.report.build import SCHEMA, build
from energy.report.render import render

__all__ = ["SCHEMA", "build", "render"]
