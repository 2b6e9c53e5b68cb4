"""Migrations: a ``study.json`` or ``report.json`` of an earlier schema as one of the present schema.

Each step is a pure function from one version to the next. A version gets a step here, and a committed folder of that
version in the tests, when its successor renames, removes or reinterprets a field. A field with a default is no new
version, and what belongs to one feature alone goes into ``extensions``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any


def study_from_1(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A study of ``bpfree-study/1`` as ``bpfree-study/2``.

    ``beside`` became ``reference``, ``together`` became ``concurrent_runs``; new is ``written``, the settings in an
    arm's text. An entry of the wrong type stays, for the schema to name it.
    """
    arms = plan.get("arms")
    if isinstance(arms, list):
        arms = [_arm_from_1(arm) if isinstance(arm, Mapping) else arm for arm in arms]
    kept = {"concurrent_runs" if key == "together" else key: value for key, value in plan.items()}
    return {**kept, "schema": "bpfree-study/2", "arms": arms}


def _arm_from_1(arm: Mapping[str, Any]) -> dict[str, Any]:
    """An arm of version 1, whose name is its text, with the arm whose net it has behind it."""
    text = re.sub(r" \(net of .*\)$", "", str(arm.get("name")))
    kept = {"reference" if key == "beside" else key: value for key, value in arm.items()}
    return {**kept, "written": re.findall(r"[:,]([\w-]+)=", text)}


def report_from_1(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report of ``bpfree-report/1`` as ``bpfree-report/2``.

    A fault was a sentence alone; new are what it voids, the settings of the arms, and the answers about memory.
    """
    faults = [{"text": text, "measures": [], "arms": [], "budget": None} for text in report.get("faults", [])]
    new = {"settings": {"arms": [], "rows": {}}, "memory": []}
    compared = [{**c, "seeds": [], "faults": [], "blocked": False} for c in report.get("comparisons", [])]
    return {
        **report,
        "schema": "bpfree-report/2",
        "faults": faults,
        "blocked": 0,
        "budgets": [{**budget, **new} for budget in report.get("budgets", [])],
        "comparisons": compared,
    }


Step = Callable[[Mapping[str, Any]], dict[str, Any]]
STEPS: dict[str, Step] = {"bpfree-study/1": study_from_1, "bpfree-report/1": report_from_1}


def migrated(content: Mapping[str, Any]) -> dict[str, Any]:
    """A study or report in the latest schema that the steps lead to; one of any other schema comes back unchanged.

    Args:
        content: of ``study.json`` or ``report.json``.
    """
    current = dict(content)
    while (step := STEPS.get(str(current.get("schema")))) is not None:
        current = step(current)
    return current
