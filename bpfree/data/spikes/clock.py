"""Spike times in their unit, as seconds; and the refusal of times that cannot be in the unit that is assumed."""

from pathlib import Path

import numpy as np

from bpfree.data.spikes.settings import UnitSettings
from bpfree.errors import InputError

STATE = "state the unit of spikes/times, time_unit = s, ms, us or bins"
_A_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}
_LONGEST_S = 60  # no sample is that long: a later time is not in seconds


class Clock:
    """The times of one file.

    Args:
        path: of the file, for messages.
        settings: of the data.
        time_unit: ``s``, ``ms``, ``us``, ``bins``; None: not stated, taken for seconds as long as they can be.

    Attributes:
        silent: number of samples whose first spike is not at 0.
        empty: number of samples without a spike.
        longest_s: time from the first to the last spike of the longest sample.
    """

    def __init__(self, path: Path, settings: UnitSettings, time_unit: str | None) -> None:
        self.path, self.settings, self.stated = path, settings, time_unit is not None
        self.ticks_a_second = 1000 / settings.bin_ms if time_unit == "bins" else _A_SECOND[time_unit or "s"]
        self.silent = self.empty = 0
        self.longest_s, self._whole = 0.0, True

    def seconds(self, times: np.ndarray, sample: str) -> np.ndarray:
        """Times of one sample in seconds.

        Args:
            times: as in the file ``(S,)``.
            sample: for messages.

        Returns:
            ``(S,)`` float64.

        Raises:
            InputError: times that are not finite, not ascending, below 0, or not in seconds where no unit is stated.
        """
        if not self.stated and times.dtype.kind in "iu":
            raise InputError(f"{self.path}: spikes/times are integers ({times.dtype}), which no seconds are: {STATE}")
        ticks = times.astype(np.float64)
        if not len(ticks):
            self.empty += 1
            return ticks
        if not (np.diff(ticks) >= 0).all() or not np.isfinite(ticks).all():
            raise InputError(f"{sample} has spikes out of order: expected finite times, ascending")
        if ticks[0] < 0:
            raise InputError(f"{sample} has a spike at {ticks[0]:g}: expected times from 0")
        if not self.stated and ticks[-1] > _LONGEST_S:
            raise InputError(f"{sample} has a spike at {ticks[-1]:g} s: expected seconds, 0..{_LONGEST_S}, or {STATE}")
        self._whole = self._whole and bool((ticks == np.floor(ticks)).all())
        when = ticks / self.ticks_a_second
        self.silent += bool(when[0] > 0)
        self.longest_s = max(self.longest_s, float(when[-1] - when[0]))
        return when

    def check_whole(self) -> None:
        """Refuse times without a unit that are all whole numbers, whatever their type.

        Raises:
            InputError: they are.
        """
        if not self.stated and self._whole and self.longest_s > 0:
            raise InputError(f"{self.path}: spikes/times are whole numbers, which no seconds are: {STATE}")
