"""A study that is not the one that was begun: its definition is fixed, and hashed into every run, before the first."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bpfree.reports.study import EXTENSION
from bpfree.reports.validity.fault import ALL, Fault, of_arms
from bpfree.reports.validity.finished import Finished, named, record

FIELDS = ("quick", "margin_pp", "target", "data", "seeds", "budgets")  # that study.json states a second time
OF_AN_ARM = ("algo", "role", "reference", "net_key", "written")


def edited_definition(done: Finished) -> Iterator[Fault]:
    """Fields of ``study.json`` that differ from the definition in it, each by name."""
    plan = done.study.plan
    defined = done.study.definition or {}
    edits = [
        f"{key} is {plan[key]} and was {defined[key]}" for key in FIELDS if key in defined and plan[key] != defined[key]
    ]
    edits += _edited_arms(done.arms, {arm["name"]: arm for arm in defined.get("arms") or []})
    if defined.get("tune"):
        edits += [
            f"the search of {name} has {arm['search'].get('trials')} trials and was to have {defined['tune']}"
            for name, arm in done.arms.items()
            if arm["search"] and arm["search"].get("trials") != defined["tune"]
        ]
    if edits:
        yield of_arms(f"the study was edited after it was begun: {'; '.join(edits)}", ALL, done.arms)


def another_definition(done: Finished) -> Iterator[Fault]:
    """Runs that were made under another definition than the one in ``study.json``, or for another arm."""
    fixed = done.study.plan["extensions"].get(EXTENSION, {}).get("definition_sha256")
    abouts = [record(run)["extensions"].get(EXTENSION, {}) for run in done.runs]
    if fixed is None and done.study.definition is not None and any(abouts):
        yield of_arms("study.json carries no hash of its definition, and its runs do", ALL, done.arms)
    if fixed is None:
        return
    if done.study.definition_sha256 != fixed:
        text = f"the definition in study.json was edited after the study was begun: its hash is no longer {fixed[:12]}"
        yield of_arms(text, ALL, done.arms)
    strangers: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for run, about in zip(done.runs, abouts, strict=True):
        stated = about.get("definition_sha256")
        if stated != fixed:
            of = f"definition {str(stated)[:12]}" if stated else "no definition"
            text = f"made under {of}, not under that of this study ({fixed[:12]})"
        elif about.get("arm") != run.arm:
            text = f"made as arm {about.get('arm')} and listed as another"
        else:
            continue
        strangers[run.arm, run.budget, text].append(run.seed)
    for (arm, budget, text), seeds in strangers.items():
        yield of_arms(f"{arm}, {named(seeds)}, {budget}: {text}", ALL, [arm], budget)


def unlisted_runs(done: Finished) -> Iterator[Fault]:
    """Runs in the study's folder that ``study.json`` does not list: seeds or arms that were taken out of it."""
    if paths := done.study.unlisted:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield of_arms(f"runs in the folder of the study are not listed in it: {paths[0]}{more}", ALL, done.arms)


CHECKS = (edited_definition, another_definition, unlisted_runs)


def _edited_arms(arms: Mapping[str, Any], defined: Mapping[str, Any]) -> list[str]:
    """Arms that were added, taken out or changed; nothing where the definition names no arms."""
    if not defined:
        return []
    edits = [f"arm {name} was added" for name in arms if name not in defined]
    edits += [f"arm {name} was taken out" for name in defined if name not in arms]
    for name in arms.keys() & defined.keys():
        edits += [
            f"{key} of arm {name} is {arms[name][key]} and was {defined[name][key]}"
            for key in OF_AN_ARM
            if key in defined[name] and arms[name][key] != defined[name][key]
        ]
    return edits
