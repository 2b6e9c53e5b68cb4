"""Meters on simulated power: windows of known energy under several shapes of power, read through RAPL and NVML.

A shape is power that is constant in each of many short pieces, so that its energy is known exactly at every moment. The
counters show that energy as of their last tick, in the units and with the turns of the real ones. Windows have one to
four stretches with other windows in between, as those of a run, and lengths from two ticks to a hundred.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from energy_doubles import FakeBoard, FakeNvml, SimulatedTime, Tree

from energy import Meter, Source
from energy.sources import nvml, rapl
from energy.sources.rapl_zone import Zone

LOW_W, HIGH_W = 60.0, 350.0  # idle and limit, of a board or a package
RANGE_UJ = 262_143_328_850


class Power:
    """Power in W over a time in s, from pieces of constant power; it repeats itself after the last."""

    def __init__(self, seconds: np.ndarray, watts: np.ndarray) -> None:
        self.times_s = np.concatenate([[0.0], np.cumsum(seconds)])
        self.joules = np.concatenate([[0.0], np.cumsum(seconds * watts)])

    def energy_j(self, now_s: float) -> float:
        """Energy from 0 s to now, exactly."""
        turns, rest_s = divmod(now_s, self.times_s[-1])
        return float(turns * self.joules[-1] + np.interp(rest_s, self.times_s, self.joules))


def constant(draw: np.random.Generator, tick_s: float) -> Power:
    return Power(np.array([1.0]), np.array([draw.uniform(LOW_W, HIGH_W)]))


def square(draw: np.random.Generator, tick_s: float) -> Power:
    """Idle and limit in turns of 0.2 to 5 ticks."""
    return Power(np.full(2, tick_s * draw.uniform(0.2, 5)), np.array([LOW_W, HIGH_W]))


def bursts(draw: np.random.Generator, tick_s: float) -> Power:
    """Idle, and now and then a burst at the limit, half a tick to two ticks long."""
    seconds = np.stack([draw.exponential(10 * tick_s, 500), draw.uniform(0.5, 2, 500) * tick_s], 1)
    return Power(seconds.ravel(), np.tile([LOW_W, HIGH_W], 500))


def sawtooth(draw: np.random.Generator, tick_s: float) -> Power:
    """From idle to the limit in 0.3 to 30 ticks, and back at once."""
    return Power(np.full(100, tick_s * draw.uniform(0.3, 30) / 100), np.linspace(LOW_W, HIGH_W, 100))


def noise(draw: np.random.Generator, tick_s: float) -> Power:
    """Any power, another one ten times in a tick."""
    return Power(np.full(5000, tick_s / 10), draw.uniform(LOW_W, HIGH_W, 5000))


SHAPES: dict[str, Callable[[np.random.Generator, float], Power]] = {
    shape.__name__: shape for shape in (constant, square, bursts, sawtooth, noise)
}


@dataclass(frozen=True)
class Metered:
    """One window: what was read, the truth, the stated bound, and the bound that constant power would have."""

    read_j: float
    true_j: float
    err_bound: float
    constant_bound: float

    @property
    def share(self) -> float:
        """The error as a share of the bound: within it up to 1."""
        return abs(self.true_j - self.read_j) / self.read_j / self.err_bound

    @property
    def constant_share(self) -> float:
        """The error as a share of what the bound was when power was taken to be constant."""
        return abs(self.true_j - self.read_j) / self.true_j / self.constant_bound


def rapl_source(power: Power, folder: Path, patch: pytest.MonkeyPatch, clock: SimulatedTime) -> Source:
    """A package that draws the power, its counter in ticks of a millisecond and near the end of its range."""
    tree = Tree(folder)
    tree.zone("0", "package-0", range_uj=RANGE_UJ)
    tree.constraint("0", HIGH_W)
    patch.setattr(Zone, "raw", lambda zone: (RANGE_UJ + _seen_uj(power, clock.now_s, 0.001)) % RANGE_UJ)
    return next(iter(rapl.sources(folder)))


def nvml_source(power: Power, folder: Path, patch: pytest.MonkeyPatch, clock: SimulatedTime) -> Source:
    """A board that draws the power, its counter in ticks of 98.3 ms."""
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    limit = {"nvmlDeviceGetEnforcedPowerLimit": round(1e3 * HIGH_W)}
    board = FakeBoard(energy_j=power.energy_j, tick_s=TICKS_S["nvml"], answers=limit)
    return next(iter(nvml.sources(None, FakeNvml(board))))


SOURCES = {"rapl": rapl_source, "nvml": nvml_source}
TICKS_S = {"rapl": 0.001, "nvml": 0.0983}


def _seen_uj(power: Power, now_s: float, tick_s: float) -> int:
    return int(1e6 * power.energy_j(now_s // tick_s * tick_s))


def windows(counter: str, shape: str, count: int, seed: int) -> Iterator[Metered]:
    """Meter windows under a shape of power.

    Args:
        counter: key of `SOURCES`.
        shape: key of `SHAPES`.
        count: number of windows.
        seed: of the shape and the windows.
    """
    draw, tick_s = np.random.default_rng(seed), TICKS_S[counter]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        clock = SimulatedTime(patch)
        power = SHAPES[shape](draw, tick_s)
        source = SOURCES[counter](power, Path(folder), patch, clock)
        source.period_s = None  # the edges suffice: no window is as long as a turn of the counter
        for _ in range(count):
            clock.pass_by(draw.uniform(0, tick_s))
            meter, true_j = Meter("simulated", sources=[source]), 0.0
            for _ in range(draw.integers(1, 5)):
                meter.enter("train")
                began_j = power.energy_j(clock.now_s)
                clock.pass_by(tick_s * 2 * 50 ** draw.random())
                true_j += power.energy_j(clock.now_s) - began_j
                meter.enter("validate")
                clock.pass_by(tick_s * draw.uniform(0, 3))
            meter.close()
            train = meter.readings()["train"]
            (part,) = (part for name, part in train["components"].items() if name == source.name)
            bound = source.tick_ms / 1e3 * train["edges"] / 2 / train["seconds"]
            yield Metered(part["energy_j"], true_j, part["err_bound"], bound)
