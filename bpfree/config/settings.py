"""Settings: one declaration makes flags, file checks, help and search spaces.

A rule, net or data source declares a dataclass with `settings` and its fields with `setting`. All of them share one
flat namespace, so ``--lr 0.01``, ``--set lr=0.01``, ``lr: 0.01`` in a file and ``MonoForward(lr=0.01)`` mean the same.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, dataclass_transform

import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass

from bpfree.errors import InputError, unknown


@dataclass_transform(field_specifiers=(pydantic.Field,), kw_only_default=True)
def settings(cls: type) -> type:
    """Make ``cls`` a checked, keyword-only, immutable dataclass."""
    config = pydantic.ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
    return pydantic_dataclass(cls, frozen=True, kw_only=True, config=config)


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    search: Sequence | None = None,
    search_if: Mapping[str, Any] | None = None,
    absolute: Callable[[str], str] | None = None,
    **limits: Any,
) -> Any:
    """Declare one setting.

    Args:
        default: default value.
        help: one line of explanation.
        unit: printed beside the value, for example ``"s"``.
        search: ``(low, high)``, ``(low, high, "log")`` or a list of choices: the range a search may use.
        search_if: other settings -> the value with which this one has an effect, so that a search may try it.
        absolute: of a setting that names a file: the value that names the same file from any folder.
        **limits: ``ge``, ``gt``, ``le``, ``lt``, as pydantic has them.
    """
    extra: dict[str, Any] = {"unit": unit, "search": search, "search_if": search_if or {}, "absolute": absolute}
    return pydantic.Field(default, description=help, json_schema_extra=extra, **limits)


@dataclasses.dataclass(frozen=True)
class Option:
    """One setting, described: ``range`` is text such as ``> 0`` or ``sgd | adam``."""

    name: str
    type: str
    default: Any
    help: str
    unit: str
    range: str
    search: Sequence | None
    search_if: Mapping[str, Any]
    absolute: Callable[[str], str] | None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def span(self) -> tuple[float, float, bool] | None:
        """Low, high and scale (logarithmic or not) of a range to search; None: ``search`` lists choices, or is None."""
        match self.search:
            case (int() | float() as low, int() | float() as high):
                return low, high, False
            case (int() | float() as low, int() | float() as high, "log"):
                return low, high, True
        return None


def options(cls: type) -> list[Option]:
    """Settings that a class declares, in the order of declaration."""
    hints = typing.get_type_hints(cls)
    declared = []
    for field in dataclasses.fields(cls):
        info: Any = field.default
        limits = [f"{sign} {getattr(m, key):g}" for m in info.metadata for key, sign in _SIGNS if hasattr(m, key)]
        extra = info.json_schema_extra
        kind, choices = _kind(hints[field.name])
        declared.append(
            Option(
                field.name,
                kind,
                info.default,
                info.description,
                extra["unit"],
                " | ".join(choices) or ", ".join(limits),
                extra["search"],
                extra["search_if"],
                extra["absolute"],
            )
        )
    return declared


_SIGNS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


def _kind(hint: Any) -> tuple[str, list[str]]:
    """Type of a setting as text, and its choices when it is one of a few."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "choice", [str(a) for a in args]
    if origin in (types.UnionType, typing.Union):
        kind, choices = _kind(next(a for a in args if a is not type(None)))
        return f"{kind} or none", choices
    if origin is tuple:
        return f"list of {_kind(args[0])[0]}", []
    return getattr(hint, "__name__", str(hint)), []


def build(cls: type, values: Mapping[str, Any]) -> Any:
    """Make an instance of a settings class.

    Args:
        cls: the settings class.
        values: name -> value, which may be text.

    Raises:
        InputError: an unknown setting, or a value out of range; one line that names type, range and unit.
    """
    by_name = {option.name: option for option in options(cls)}
    for name in values:
        if name not in by_name:
            raise unknown("setting", name, by_name)
    try:
        return cls(**{name: _from_text(value, by_name[name]) for name, value in values.items()})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        option = by_name[str(first["loc"][0])]
        value = values.get(option.name, option.default)
        other_kind = first["type"].endswith(("_parsing", "_from_float", "_type"))  # rather than out of range
        kind = option.type if not option.range or (other_kind and option.type != "choice") else ""
        expected = " ".join(filter(None, (kind, option.range, option.unit)))
        raise InputError(f"{option.name} = {value!r} is not valid: expected {expected} ({option.help})") from None


def _from_text(value: Any, option: Option) -> Any:
    """``"1000,500"`` to a tuple, ``"none"`` to None; pydantic reads numbers and booleans itself."""
    if not isinstance(value, str):
        return value
    if option.type.endswith("or none") and value.lower() == "none":
        return None
    if option.type.startswith("list"):
        return tuple(part.strip() for part in value.strip("[]() ").split(",") if part.strip())
    return value


def resolve(classes: Iterable[type], values: Mapping[str, Any], prefer: Mapping[str, Any] | None = None) -> list[Any]:
    """Share flat values out over several settings classes.

    Args:
        classes: the settings classes.
        values: name -> value, which may be text.
        prefer: defaults of a rule, which count before those of the classes.

    Returns:
        An instance of each class.

    Raises:
        InputError: a key that none of the classes knows, or a value out of range.
    """
    classes = list(classes)
    names = [{field.name for field in dataclasses.fields(cls)} for cls in classes]
    known = set().union(*names)
    for key in values:
        if key not in known:
            raise unknown("setting", key, known)
    merged = {**(prefer or {}), **values}
    return [
        build(cls, {k: v for k, v in merged.items() if k in fields}) for cls, fields in zip(classes, names, strict=True)
    ]


def with_absolute_paths(instance: Any) -> Any:
    """Settings that name the same files from any folder."""
    paths = {}
    for option in options(type(instance)):
        value = getattr(instance, option.name)
        if option.absolute and value:
            paths[option.name] = option.absolute(value)
    return dataclasses.replace(instance, **paths)


def as_dict(*instances: Any) -> dict[str, Any]:
    """Join several settings into one flat dictionary that a configuration file can hold."""
    flat = {key: value for instance in instances for key, value in dataclasses.asdict(instance).items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()}
