"""Outcomes of the cases: what was expected, what came, and whether they are the same, value for value."""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
for folder in (str(HERE.parent), str(HERE.parents[1])):  # the shared helpers of the tests, and ``tests`` itself
    if folder not in sys.path:
        sys.path.append(folder)

from bpfree.errors import BpfreeError  # noqa: E402
from tests.inputs.case import Case  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    """One case that went through its door.

    Attributes:
        expected: the right reading, or the words of the refusal, as text.
        got: the values that came, or the message of the refusal, as text.
        right: whether they are the same.
    """

    expected: str
    got: str
    right: bool


def all_cases() -> list[Case]:
    """The cases of every module of this folder, in the order of the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(HERE)]))
    modules = [importlib.import_module(f"tests.inputs.{name}") for name in names if name != "__main__"]
    return [case for module in modules if hasattr(module, "cases") for case in module.cases()]


def outcome(case: Case, folder: Path) -> Outcome:
    """Take a case through its door.

    Args:
        case: the case.
        folder: an empty one.
    """
    made = case.make(folder)
    if isinstance(case.expected, str):
        try:
            got = text(case.read(made))
        except BpfreeError as error:
            message = str(error)
            return Outcome(case.expected, message, case.expected in message and "\n" not in message)
        except Exception as error:
            return Outcome(f"refusal: {case.expected}", f"{type(error).__name__}: {error}", False)
        return Outcome(f"refusal: {case.expected}", got, False)
    expected = case.expected(made)
    try:
        got = case.read(made)
    except BpfreeError as error:
        return Outcome(text(expected), f"refused: {error}", False)
    except Exception as error:
        return Outcome(text(expected), f"{type(error).__name__}: {error}", False)
    return Outcome(text(expected), text(got), same(expected, got))


def same(a: Any, b: Any) -> bool:
    """Whether two readings hold the same values; floats to the rounding of float32."""
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, str) or a is None or isinstance(a, bool):
        return type(a) is type(b) and a == b
    if isinstance(a, list | tuple) and any(isinstance(part, str | list | tuple | Mapping | None) for part in a):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True))


def text(value: Any) -> str:
    """A reading on one line; of long arrays the shape and the first values."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, str | bool | int | float) or value is None:
        return str(value)
    if isinstance(value, list | tuple) and any(isinstance(part, str | list | tuple | Mapping) for part in value):
        return "[" + ", ".join(map(text, value)) + "]"
    array = np.asarray(value)
    first = ", ".join(f"{number:.6g}" for number in array.reshape(-1)[:8].tolist())
    return f"{array.shape} {first}{', …' if array.size > 8 else ''}"
