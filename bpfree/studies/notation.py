"""Notation: arms as a user types them, ``rule`` or ``rule:key=value,…``, with commas between."""

import re
from collections.abc import Iterable
from typing import Any

from bpfree.errors import InputError
from bpfree.reports.study import BASELINE
from bpfree.rules import RULES
from bpfree.runs import plan as plans

NO_ARMS = "no arms given: write --algos mono-forward,forward-forward"


def separate(text: str | Iterable[str]) -> list[str]:
    """The arms in ``a,b:k=v,l=w,c``.

    A part that holds ``=`` before any ``:``, or is a number, belongs to the arm before it. A list of arms stays as it
    is.

    >>> separate("mono-forward,backprop:lr=0.1,hidden=64,32,cafo")
    ['mono-forward', 'backprop:lr=0.1,hidden=64,32', 'cafo']
    """
    if not isinstance(text, str):
        return list(text)
    arms: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        goes_on = re.fullmatch(r"[\w-]+=.*|[\d.eE+-]+", part)
        if goes_on and arms and ":" in arms[-1]:
            arms[-1] += "," + part
        elif part:
            arms.append(part)
    return arms


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Rule and settings of one arm.

    >>> parse("mine.py:Rule:lr=0.1,hidden=64,32")
    ('mine.py:Rule', {'lr': '0.1', 'hidden': '64,32'})

    Raises:
        InputError: a part without ``=``, or a setting given twice.
    """
    match = re.fullmatch(r"(?P<rule>.*?\.py(?::\w+(?=:|$))?|[^:]*)(?::(?P<rest>.*))?", text)
    assert match is not None
    values: dict[str, str] = {}
    last = None
    for part in (match["rest"] or "").split(",") if match["rest"] is not None else ():
        key, equals, value = part.partition("=")
        if equals and key:
            last = key.strip().replace("-", "_")
            if last in values:
                raise InputError(f"arm {text}: {last} is given twice")
            values[last] = value.strip()
        elif last is not None and part:
            values[last] += "," + part
        else:
            raise InputError(f"arm {text!r} is not valid: expected rule, or rule:key=value,key=value")
    return match["rule"].strip(), values


def refuse_objects(algos: Iterable[Any], data: Any) -> None:
    """Refuse classes and arrays, which a run in a process of its own could not find.

    Args:
        algos: arms.
        data: of the study; None: the arms' default.

    Raises:
        InputError: an arm or data that is no text.
    """
    for thing in (*algos, "" if data is None else data):
        if not isinstance(thing, str):
            raise InputError(
                f"{thing!r:.60} has no name under which a process of its own finds it: arms are names of rules or "
                f"FILE.py:Class, data a name such as mnist or npz:FILE"
            )


def default_data(algos: str | Iterable[str]) -> str:
    """The data of a study that names none: the default data of its rules, of which the baseline takes any.

    Raises:
        InputError: no arms, or arms whose rules have different default data.
    """
    rules = [parse(text)[0] for text in separate(algos)]
    if not rules:
        raise InputError(NO_ARMS)
    names = {RULES.load(rule).data: rule for rule in rules if rule != BASELINE or set(rules) == {BASELINE}}
    if len(names) > 1:
        different = ", ".join(f"{rule} on {data}" for data, rule in names.items())
        raise InputError(f"no data given, and the arms would train on different ones ({different}): add --data NAME")
    return next(iter(names))


def settings_of(algos: str | Iterable[str], data: str, net: str | None = None, **_: Any) -> list[type]:
    """The settings classes of a study's arms: those of their rules, nets and data, and of the loop.

    Args:
        algos: the arms, as text or a list.
        data: name of the data.
        net: name of the net of arms that name none.
    """
    classes: dict[type, None] = {}
    for text in separate(algos):
        rule, written = parse(text)
        classes |= dict.fromkeys(plans.settings_of(rule, data, written.get("net", net)).values())
    return list(classes)
