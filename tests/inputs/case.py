"""One small input, the door it goes through, and its right reading."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """An input as its maker meant it.

    Attributes:
        name: of the input: "CSV: a column of categories".
        door: by which it comes in: "train", "data", "predict", "fit", "load().predict", …
        make: writes the input into an empty folder, and returns what the door takes.
        read: takes it through the door, and returns the values read: an array, labels, notes, ….
        expected: from what ``make`` returned, by another library or plain Python; or words of the refusal.
    """

    name: str
    door: str
    make: Callable[[Path], Any]
    read: Callable[[Any], Any]
    expected: Callable[[Any], Any] | str
