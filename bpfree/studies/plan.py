"""The plan of a study: ``study.json`` of a new one, or of the one that goes on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.config.settings import as_dict, build
from bpfree.config.settings import options as declarations
from bpfree.errors import InputError
from bpfree.reports import study
from bpfree.runs import provenance
from bpfree.runs.recorder import now
from bpfree.studies import notation
from bpfree.studies.arms import Arm
from bpfree.studies.options import CompareOptions
from bpfree.training.files import LOCK

FOLDERS = {study.OWN: "own", study.MATCHED: "matched"}  # budget -> its folder
DEFINING = (
    "net",
    "tune",
    "tune_epochs",
    "quick",
    "target",
    "margin_pp",
    "meter",
)  # others may change


def definition(
    options: CompareOptions,
    *,
    algos: Sequence[str],
    data: str,
    seeds: Sequence[int],
    controls: Sequence[str] | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The arguments that make a study what it is, as ``study.json`` keeps them (`bpfree.reports.study.Definition`).

    Args:
        options: of the comparison.
        algos: arms as typed.
        data: name of the data.
        seeds: one run of each arm and budget for each.
        controls: instead of the usual ones.
        settings: of all arms that have them.
    """
    values = _resolved(settings, notation.settings_of(algos, data, options.net))
    named = {"algos": algos, "data": data, "seeds": seeds, "controls": controls, "settings": values}
    return named | {name: getattr(options, name) for name in DEFINING}


def _resolved(values: Mapping[str, Any], classes: Sequence[type]) -> dict[str, Any]:
    """Settings as their first class reads them, so that ``"1"`` is 1; names that no class declares stay as they are."""
    owner = {option.name: cls for cls in reversed(classes) for option in declarations(cls)}
    return {
        name: as_dict(build(owner[name], {name: value}))[name] if name in owner else value
        for name, value in values.items()
    }


def new_plan(
    name: str, options: CompareOptions, defined: Mapping[str, Any], arms: Sequence[Arm], notes: Sequence[str]
) -> dict[str, Any]:
    """A new ``study.json``, but for the description of its arms.

    The definition is fixed here, before the first run: its hash stands in ``extensions["study"]`` and in the record of
    every run.

    Args:
        name: of the study.
        options: of the comparison.
        defined: see `bpfree.studies.options.definition`.
        arms: in the order of the first seed.
        notes: for the reader of the report.
    """
    fixed = study.Definition(**defined, **_planned(arms)).model_dump(mode="json")
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
        "definition": fixed,
        "extensions": {study.EXTENSION: {"definition_sha256": provenance.sha256_of(fixed)}},
        "runs": planned_runs(arms, defined["seeds"]),
    }


def _planned(arms: Sequence[Arm]) -> dict[str, Any]:
    """The part of the definition that follows from its arguments: budgets and arms."""
    keys = ("name", "algo", "role", "reference", "budgets", "net_key", "written")
    return {"budgets": list(FOLDERS), "arms": [{key: getattr(arm, key) for key in keys} for arm in arms]}


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
                if budget not in arm.budgets:
                    continue
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
    classes = notation.settings_of(defined["algos"], defined["data"], defined["net"])
    before["settings"] = _resolved(before.get("settings", {}), classes)  # earlier versions kept them as typed
    for key, value in study.Definition(**defined).model_dump(mode="json").items():
        if before.get(key) != value:
            raise InputError(f"{folder} was started with {key} = {before.get(key)}, not {value}: choose another --out")
    return plan
