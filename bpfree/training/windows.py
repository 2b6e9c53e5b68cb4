"""Metered windows of a run: setup, train, validate, save; joules by the meter, seconds of training by the clock."""

import time
from typing import Protocol

from bpfree.training.checkpoint import Cursor


class Meter(Protocol):
    """The part of an ``energy.Meter`` that a run uses."""

    def enter(self, name: str) -> None:
        """Begin the window ``name``; the one before it ends."""

    def readings(self) -> dict:
        """By window: seconds, joules of each component, method."""
        ...


class NoMeter:
    """The meter of a run that is not measured."""

    def enter(self, name: str) -> None:
        """Nothing is read."""

    def readings(self) -> dict:
        return {}


class Windows:
    """The window that a run is in.

    Args:
        meter: reads energy at the boundaries.
        cursor: gets the seconds of the training windows, so that a checkpoint has them.
    """

    def __init__(self, meter: Meter, cursor: Cursor):
        self.meter, self.cursor = meter, cursor
        self.name, self.began_s = "", 0.0

    def enter(self, name: str) -> None:
        """Count all that comes next under ``name``."""
        if name == self.name:
            return
        self.meter.enter(name)
        now = time.perf_counter()
        if self.name == "train":
            self.cursor.train_s += now - self.began_s
        self.name, self.began_s = name, now

    def train_s(self) -> float:
        """Seconds of training so far, those of a window that is not over included."""
        return self.cursor.train_s + (time.perf_counter() - self.began_s if self.name == "train" else 0.0)

    def train_j(self) -> dict[str, float | None]:
        """Joules of each component in the training windows so far: the axis of the energy-to-accuracy curve."""
        train = self.meter.readings().get("train", {"components": {}})
        return {name: part["energy_j"] for name, part in train["components"].items()}
