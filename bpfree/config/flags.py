"""Settings as users type them: ``--lr 0.1``, ``--set lr=0.1``, ``lr: 0.1`` in a file, read into a flat mapping."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.config.settings import Option, options
from bpfree.errors import InputError, unknown


def parse(tokens: Sequence[str], classes: Iterable[type], others: Iterable[str] = ()) -> dict[str, Any]:
    """Read settings from command-line tokens, as text; strict: every token must be a known flag or its value.

    ``--lr 0.1`` and ``--lr=0.1``, hyphens or underscores; a boolean is ``--flip``, ``--no-flip`` or ``--flip=false``.
    The last of several counts.

    Args:
        tokens: words that are no options of the command.
        classes: the settings classes whose fields are flags.
        others: flags of the command, so that a misspelt one finds its neighbour.

    Raises:
        InputError: a flag that does not exist (with the nearest names), a flag without its value, a stray word.
    """
    known = {option.flag: option for cls in classes for option in options(cls)}
    negative = {"--no-" + flag[2:]: flag for flag, option in known.items() if option.type == "bool"}
    values: dict[str, Any] = {}
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            raise InputError(f"unexpected argument {token!r}: settings are given as --name value")
        name, equals, value = token.partition("=")
        flag = name.replace("_", "-")
        if flag in negative and not equals:
            values[known[negative[flag]].name] = False
            continue
        if flag not in known:
            raise unknown("flag", flag, [*known, *negative, *others])
        option = known[flag]
        if option.type == "bool" and not equals:
            values[option.name] = True
        elif equals:
            values[option.name] = value
        elif rest and not rest[0].startswith("--"):
            values[option.name] = rest.pop(0)
        else:
            raise InputError(f"{flag} needs a value: {expected(option)}")
    return values


def refuse_misspelt(tokens: Iterable[str], flags: Iterable[str]) -> None:
    """Raise InputError for a misspelt flag of a command.

    Args:
        tokens: words of the command line.
        flags: flags of the command, such as ``--algo``.
    """
    for token in tokens:
        flag = token.partition("=")[0]
        if flag.startswith("--") and difflib.get_close_matches(flag, flags, cutoff=0.8):
            raise unknown("flag", flag, flags)


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Read ``["lr=0.1", …]`` into a dictionary; hyphens in names count as underscores."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text} is not valid: expected --set name=value")
        values[name.strip().replace("-", "_")] = value.strip()
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a flat configuration file: the ``config.yaml`` of a run, a recipe, or one's own."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise InputError(f"{path}{line} is not valid YAML: expected lines such as lr: 0.001") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path} is not a configuration: expected lines such as lr: 0.001")
    for name in ("algo", "data", "net"):
        if not isinstance(values.get(name, ""), str):
            raise InputError(f"{path}: {name} = {values[name]!r} is not valid: expected a name")
    return {key.replace("-", "_"): value for key, value in values.items()}


def configuration(path: Path) -> dict[str, Any]:
    """Settings in a file. It may be a recipe: its description, target and seeds are left out."""
    return {key: value for key, value in read_yaml(path).items() if key not in ("about", "target", "seeds")}


def expected(option: Option) -> str:
    """Type, range and meaning of an option, for messages."""
    kind = "" if option.type.startswith("choice") else option.type
    parts = [kind, option.range, option.unit]
    return f"{' '.join(part for part in parts if part)} ({option.help})"


def default_text(option: Option, prefer: Mapping[str, Any]) -> str:
    """Default of an option as text.

    Args:
        option: the option.
        prefer: defaults of a rule, which count before the option's.
    """
    return value_text(prefer.get(option.name, option.default))


def value_text(value: Any) -> str:
    """A value as a user writes it on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "none"
    return ("off", "on")[value] if isinstance(value, bool) else str(value)
