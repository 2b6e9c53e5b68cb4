"""Migrations: a ``study.json`` of an earlier schema as one of the present schema.

Each step is a pure function from one version to the next. A version gets a step here, and a committed folder of that
version in the tests, when its successor renames, removes or reinterprets a field. A field with a default is no new
version, and what belongs to one feature alone goes into ``extensions``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any


def study_from_1(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A study of ``bpfree-study/1`` as ``bpfree-study/2``: ``beside`` -> ``reference``, ``together`` ->
    ``concurrent_runs``, and ``written``, the settings in an arm's text, read from the arm's name."""
    arms = []
    for arm in plan.get("arms", []):
        text = re.sub(r" \(net of .*\)$", "", str(arm.get("name")))
        named = {"reference" if key == "beside" else key: value for key, value in arm.items()}
        arms.append({**named, "written": re.findall(r"[:,]([\w-]+)=", text)})
    kept = {"concurrent_runs" if key == "together" else key: value for key, value in plan.items()}
    return {**kept, "schema": "bpfree-study/2", "arms": arms}


STUDY: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"bpfree-study/1": study_from_1}


def migrated(plan: Mapping[str, Any]) -> dict[str, Any]:
    """``plan`` in the latest schema that the steps lead to; a plan of any other schema comes back unchanged."""
    current = dict(plan)
    while (step := STUDY.get(str(current.get("schema")))) is not None:
        current = step(current)
    return current
