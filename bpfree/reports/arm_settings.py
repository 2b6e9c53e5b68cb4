"""Settings of the arms side by side: epochs, learning rate, batch size, and everything in which two arms differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from bpfree.reports.formatting import NONE
from bpfree.reports.gathering import INCIDENTAL
from bpfree.reports.study import Study

ALWAYS = ("epochs", "lr", "batch_size")
_PLACES = {*INCIDENTAL, "algo", "out"}  # entries of a configuration that are no settings of an arm


def arm_settings(study: Study, budget: str) -> dict[str, Any]:
    """The settings with which the arms of a budget ran.

    Args:
        study: with the records of its runs.
        budget: of the runs.

    Returns:
        ``arms``: names; ``rows``: name of a setting -> its text in each arm, several where its runs differ.
    """
    arms = [arm for arm in study.arms if study.of(arm, budget)]
    configs = [_configs(study, arm, budget) for arm in arms]
    names = dict.fromkeys([*ALWAYS, *(name for several in configs for config in several for name in config)])
    rows = {}
    for name in names:
        texts = [_text(name, several) for several in configs]
        if name not in _PLACES and (len(set(texts)) > 1 or (name in ALWAYS and set(texts) != {NONE})):
            rows[name] = texts
    return {"arms": arms, "rows": rows}


def _configs(study: Study, arm: str, budget: str) -> Sequence[Mapping[str, Any]]:
    """The configurations of an arm's runs; the settings of the arm where none has left a record."""
    configs = [run.record["config"] for run in study.of(arm, budget) if run.record]
    return configs or [study.arms[arm]["settings"]]


def _text(name: str, configs: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(_value(config[name]) if name in config else NONE for config in configs))


def _value(value: Any) -> str:
    """A setting as text, as one would type it.

    >>> _value([64, 32]), _value(None), _value(True), _value(0.001)
    ('64, 32', 'none', 'true', '0.001')
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
