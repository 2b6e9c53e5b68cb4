"""Migrations: a ``study.json`` of an earlier schema as one of the present schema.

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


STUDY: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"bpfree-study/1": study_from_1}


def migrated(plan: Mapping[str, Any]) -> dict[str, Any]:
    """``plan`` in the latest schema that the steps lead to; a plan of any other schema comes back unchanged."""
    current = dict(plan)
    while (step := STUDY.get(str(current.get("schema")))) is not None:
        current = step(current)
    return current
