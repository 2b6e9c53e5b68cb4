"""Files of spikes: units of time, windows, channels and labels."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bpfree.data import load, reader_of
from bpfree.data.spikes.settings import SpikeFileSettings
from tests.inputs.case import Case

SETTINGS: dict[str, Any] = {"units": 6, "channels": 6, "crop_s": 0.1, "val_fraction": 0.25}
MS = [[(7 * k * k + 11 * i) % 90 + 1 for k in range(12)] for i in range(8)]  # times of 8 samples, in milliseconds
TIMES = [sorted(row) for row in MS]
UNITS = [[(k * 5 + i) % 6 for k in range(12)] for i in range(8)]
Y = [i % 2 for i in range(8)]


def written(times: Any, dtype: Any, labels: Any = Y, **settings: Any) -> Callable[[Path], tuple[str, dict]]:
    """A file with these times; what ``make`` of a case returns."""

    def make(folder: Path) -> tuple[str, dict]:
        with h5py.File(folder / "mine.h5", "w") as out:
            for key, rows, kind in (("times", times, dtype), ("units", UNITS, np.int64)):
                held = out.create_dataset(f"spikes/{key}", (len(rows),), h5py.vlen_dtype(kind))
                for i, row in enumerate(rows):
                    held[i] = row
            out["labels"] = labels
        return f"spikes:{folder / 'mine.h5'}", {**SETTINGS, **settings}

    return make


def counts(made: tuple[str, dict]) -> Any:
    """Counts of all samples, in the order of the file."""
    return reader_of(made[0]).read(SpikeFileSettings(**made[1])).x.x.tolist()  # type: ignore[attr-defined]


def right(width_ms: int = 10, group: int = 1, bins: int = 10) -> list:
    """The same by whole milliseconds, from the first spike."""
    out = np.zeros((8, bins, 6 // group), int)
    for i, (times, units) in enumerate(zip(TIMES, UNITS, strict=True)):
        for time, unit in zip(times, units, strict=True):
            if (time - times[0]) // width_ms < bins:
                out[i, (time - times[0]) // width_ms, unit // group] += 1
    return out.tolist()


def single() -> list:
    """Counts of seconds in single precision: the numbers that are stored, as exact fractions."""
    out = np.zeros((8, 10, 6), int)
    for i, (times, units) in enumerate(zip(TIMES, UNITS, strict=True)):
        stored = [Fraction(float(np.float32(time / 1000))) for time in times]
        for time, unit in zip(stored, units, strict=True):
            out[i, int((time - stored[0]) * 100), unit] += 1
    return out.tolist()


def notes(made: tuple[str, dict]) -> list[str]:
    return list(load(*made).notes)


def classes(made: tuple[str, dict]) -> list[str]:
    """The class of every sample, as text."""
    raw = reader_of(made[0]).read(SpikeFileSettings(**made[1]))
    return [raw.class_names[c] if raw.class_names else str(c) for c in raw.y.tolist()]


def case(name: str, make: Any, read: Any, expected: Any) -> Case:
    return Case(f"spikes: {name}", "data", make, read, expected)


def cases() -> list[Case]:
    seconds = [[time / 1000 for time in row] for row in TIMES]
    micro = [[1000 * time for time in row] for row in TIMES]
    frames = [[time // 10 for time in row] for row in TIMES]
    half = [[(time - row[0]) // 10 < 5 for time in row] for row in TIMES]
    fine = [[time + 0.5 for time in row] for row in TIMES]  # milliseconds with fractions, below a minute
    short = [[time / 2 for time in row] for row in fine]
    words = [("dog", "cat")[y] for y in Y]
    in_bins = [[tick - row[0] for tick in row] for row in frames]
    by_bins = np.zeros((8, 10, 6), int)
    for i, (row, units) in enumerate(zip(in_bins, UNITS, strict=True)):
        np.add.at(by_bins[i], (row, units), 1)
    silence = "8 of 8 samples begin with silence, which is left out: time 0 is the first spike"
    long = sum(not all(row) for row in half)
    cut = (
        f"{long} of 8 samples are longer than crop_s = 0.05 s: {sum(map(sum, ([not k for k in row] for row in half)))}"
    )
    return [
        case("seconds", written(seconds, np.float64), counts, lambda made: right()),
        case("seconds in single precision", written(seconds, np.float32), counts, lambda made: single()),
        case("milliseconds", written(TIMES, np.int64, time_unit="ms"), counts, lambda made: right()),
        case("milliseconds as floats", written(TIMES, np.float64, time_unit="ms"), counts, lambda made: right()),
        case("microseconds", written(micro, np.uint32, time_unit="us"), counts, lambda made: right()),
        case("bins", written(frames, np.uint8, time_unit="bins"), counts, lambda made: by_bins.tolist()),
        case("bins of 5 ms", written(TIMES, int, time_unit="ms", bin_ms=5.0), counts, lambda made: right(5, 1, 20)),
        case("units in threes", written(TIMES, int, time_unit="ms", channels=2), counts, lambda made: right(10, 3)),
        case("integers without a unit", written(TIMES, np.int64), counts, "which no seconds are: state the unit"),
        case("whole numbers without a unit", written(frames, np.float64, crop_s=10.0), counts, "are whole numbers"),
        case("milliseconds without a unit", written(fine, np.float64), counts, "expected seconds, 0..60, or state"),
        case("a window that cuts most", written(short, np.float64), counts, "8 of 8 samples are longer than crop_s"),
        case("times below 0", written([[-1.5, *row[1:]] for row in seconds], float), counts, "a spike at -1.5"),
        case("words as labels", written(TIMES, int, words, time_unit="ms"), classes, lambda made: words),
        case("labels from 1", written(TIMES, int, [y + 1 for y in Y], time_unit="ms"), classes,
             lambda made: [str(y + 1) for y in Y]),
        case("float labels", written(TIMES, int, [y / 1 for y in Y], time_unit="ms"), classes,
             lambda made: [str(y) for y in Y]),
        case("what a window cuts", written(TIMES, int, time_unit="ms", crop_s=0.05), notes,
             lambda made: ["times are read as ms", silence, f"{cut} spikes after it are left out"]),
        case("units that are summed", written(seconds, float, channels=2), notes,
             lambda made: [silence, "6 units are summed to 2 channels, 3 neighbours each"]),
    ]  # fmt: skip
