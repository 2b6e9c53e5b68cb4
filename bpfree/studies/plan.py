"""The plan of a study: ``study.json`` of a new one, or of the one that goes on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.errors import InputError
from bpfree.reports import study
from bpfree.runs.recorder import now
from bpfree.studies.arms import Arm
from bpfree.studies.options import CompareOptions
from bpfree.training.files import LOCK

FOLDERS = {study.OWN: "own", study.MATCHED: "matched"}  # budget -> its folder


def new_plan(
    name: str, options: CompareOptions, defined: Mapping[str, Any], arms: Sequence[Arm], notes: Sequence[str]
) -> dict[str, Any]:
    """A new ``study.json``, but for the description of its arms.

    Args:
        name: of the study.
        options: of the comparison.
        defined: see `bpfree.studies.options.definition`.
        arms: in the order of the first seed.
        notes: for the reader of the report.
    """
    return {
        "schema": study.SCHEMA,
        "name": name,
        "question": options.question,
        "created": now(),
        "seeds": defined["seeds"],
        "budgets": list(FOLDERS),
        "quick": options.quick,
        "data": defined["data"],
        "margin_pp": options.margin_pp,
        "target": options.target,
        "idle": None,
        "concurrent_runs": 1,
        "warnings": list(notes),
        "definition": dict(defined),
        "runs": planned_runs(arms, defined["seeds"]),
    }


def planned_runs(arms: Sequence[Arm], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Every run in the order in which it is to be made: seed by seed, the arms forward and then backward (ABBA).

    Args:
        arms: in the order of the first seed.
        seeds: one run of each arm and budget for each.
    """
    runs: list[dict[str, Any]] = []
    for budget, folder in FOLDERS.items():
        for turn, seed in enumerate(seeds):
            for arm in arms if turn % 2 == 0 else reversed(arms):
                path = f"runs/{folder}/{arm.slug}/s{seed}"
                listed = {"arm": arm.name, "seed": seed, "budget": budget, "order": len(runs), "path": path}
                runs.append({**listed, "status": "planned", "error": None})
    return runs


def earlier_plan(folder: Path, defined: Mapping[str, Any]) -> dict[str, Any] | None:
    """The plan of the study in a folder, which goes on; None: a folder that is new or empty.

    Args:
        folder: of the study.
        defined: the definition that the study must have been started with.

    Raises:
        InputError: the folder holds something else, or a study that was started with another definition.
    """
    if not folder.exists():
        return None
    if not (folder / study.FILE).exists():
        if folder.is_dir() and all(path.name.startswith(LOCK) for path in folder.iterdir()):
            return None
        raise InputError(f"{folder} exists and holds no study: choose another --out")
    plan = study.read(folder)
    before = plan["definition"] or {}
    for key, value in study.Definition(**defined).model_dump(mode="json").items():
        if before.get(key) != value:
            raise InputError(f"{folder} was started with {key} = {before.get(key)}, not {value}: choose another --out")
    return plan
