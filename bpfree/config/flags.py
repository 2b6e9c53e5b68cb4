"""From what a user types to a flat configuration: ``--lr 0.1``, ``--set lr=0.1``, ``lr: 0.1`` in a file."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.config.settings import Option, options
from bpfree.errors import InputError, unknown


def parse(tokens: Sequence[str], classes: Iterable[type], own: Iterable[str] = ()) -> dict[str, Any]:
    """Settings from command-line tokens, as text; strict: every token must be a known flag or its value.

    ``--lr 0.1`` and ``--lr=0.1``, hyphens or underscores; a boolean is ``--flip``, ``--no-flip`` or ``--flip=false``.
    The last of several counts.

    Args:
        tokens: what the command line's own options left over.
        classes: the settings classes whose fields are flags.
        own: the command's own flags, so that a misspelt one finds its neighbour.

    Raises:
        InputError: a flag that does not exist (with the nearest names), a flag without its value, a stray word.
    """
    known = {option.flag: option for cls in classes for option in options(cls)}
    negative = {"--no-" + flag[2:]: flag for flag, option in known.items() if option.type == "bool"}
    found: dict[str, Any] = {}
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            raise InputError(f"unexpected argument {token!r}: settings are given as --name value")
        name, equals, value = token.partition("=")
        flag = name.replace("_", "-")
        if flag in negative and not equals:
            found[known[negative[flag]].name] = False
            continue
        if flag not in known:
            raise unknown("flag", flag, [*known, *negative, *own])
        option = known[flag]
        if option.type == "bool" and not equals:
            found[option.name] = True
        elif equals:
            found[option.name] = value
        elif rest and not rest[0].startswith("--"):
            found[option.name] = rest.pop(0)
        else:
            raise InputError(f"{flag} needs a value: {expected(option)}")
    return found


def misspelt(tokens: Iterable[str], own: Iterable[str]) -> None:
    """InputError when one of ``tokens`` is nearly one of the command's ``own`` flags."""
    for token in tokens:
        flag = token.partition("=")[0]
        if flag.startswith("--") and difflib.get_close_matches(flag, own, cutoff=0.8):
            raise unknown("flag", flag, own)


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """``["lr=0.1", …]`` as a dictionary; hyphens in names count as underscores."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text} is not valid: expected --set name=value")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    """A flat configuration file: the ``config.yaml`` of a run, a recipe, or one's own."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise InputError(f"{path}{line} is not valid YAML: expected lines such as lr: 0.001") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(f"{path} is not a configuration: expected lines such as lr: 0.001")
    for name in ("algo", "data", "net"):
        if not isinstance(found.get(name, ""), str):
            raise InputError(f"{path}: {name} = {found[name]!r} is not valid: expected a name")
    return {key.replace("-", "_"): value for key, value in found.items()}


def configuration(path: Path) -> dict[str, Any]:
    """The settings in a file, which may be a recipe: what that says of itself is left out."""
    return {key: value for key, value in read_yaml(path).items() if key not in ("about", "target", "seeds")}


def expected(option: Option) -> str:
    """What an option takes, in words."""
    kind = "" if option.type.startswith("choice") else option.type
    parts = [kind, option.range, option.unit]
    return f"{' '.join(part for part in parts if part)} ({option.help})"


def preferred(option: Option, prefer: Mapping[str, Any]) -> str:
    """The default of an option as text, the rule's own one if it has one."""
    value = prefer.get(option.name, option.default)
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "none"
    return ("off", "on")[value] if isinstance(value, bool) else str(value)
