"""The space of a search: the settings that declare a range, and the values that a trial may draw from them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from bpfree.config.settings import Option, options
from bpfree.errors import InputError, unknown
from bpfree.runs.plan import Plan
from bpfree.training.data import Spec
from bpfree.training.optimizers import OptimSettings


def search_space(base: Plan, spec: Spec, fixed: Mapping[str, Any], names: Sequence[str] | None) -> dict[str, Option]:
    """The settings to search.

    Args:
        base: plan of the run whose settings are searched.
        spec: of its data.
        fixed: settings with a value, which are not searched.
        names: settings to search; None: all that declare a range and have an effect.

    Returns:
        Name -> declaration of the setting.

    Raises:
        InputError: a setting that does not exist, declares no range, is fixed or has no effect; or nothing to search.
    """
    parts = (base.rule_settings, base.net_settings, base.data_settings, base.loop_settings)
    known = {option.name: option for part in parts for option in options(type(part))}
    able = [name for part in parts for name in searchable(part)]
    for name in names or ():
        if name not in known:
            raise unknown("setting", name, known)
        if name not in able:
            raise InputError(f"{name} declares no range to search here: choose from {', '.join(able)}")
        if name in fixed:
            raise InputError(f"{name} is given as {fixed[name]} and cannot be searched as well: leave one out")
    wanted = [name for name in able if name not in fixed] if names is None else list(names)
    if not wanted:
        raise InputError(f"nothing to search: every setting with a range is given; leave out one of {', '.join(able)}")
    idle = [name for name in wanted if name in without_effect(base, spec)]
    if idle and (names is not None or len(idle) == len(wanted)):
        raise InputError(f"{idle[0]} has no effect to search for: {base.algo} solves for what it learns here")
    return {name: known[name] for name in wanted if name not in idle}


def searchable(settings: Any) -> list[str]:
    """Names of the settings of this instance that declare a range and have an effect with its other settings."""
    return [
        option.name
        for option in options(type(settings))
        if option.search is not None
        and all(getattr(settings, key, None) == value for key, value in option.search_if.items())
    ]


def without_effect(base: Plan, spec: Spec) -> set[str]:
    """Names of the settings that change nothing for a rule without owners, which solves for what it learns.

    Args:
        base: plan of a run.
        spec: of its data.
    """
    trainer = base.build()
    trainer.build(spec)
    return set() if trainer.owners() else {"batch_size", *(field.name for field in dataclasses.fields(OptimSettings))}


def suggest(trial: optuna.Trial, option: Option) -> Any:
    """A value for one setting from its range.

    Args:
        trial: draws the value.
        option: the setting, with a range ``(low, high)``, ``(low, high, "log")``, or a list of choices.
    """
    assert option.search is not None
    if option.span is None:
        return trial.suggest_categorical(option.name, list(option.search))
    low, high, log = option.span
    if option.type.startswith("int"):
        return trial.suggest_int(option.name, int(low), int(high), log=log)
    return trial.suggest_float(option.name, low, high, log=log)
