"""What is compared, and the value that each run has of it: energy only from equal meters, never from a resumed run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpfree.reports.study import Run
from energy.labels import UNAVAILABLE, is_measured, worst

Parts = frozenset[tuple[str, str]]  # component and label


@dataclass(frozen=True)
class Measure:
    """A column: ``scale`` says how pairs are compared; ``noun``, ``more`` and ``less`` are the words of a verdict."""

    key: str
    title: str
    noun: str
    scale: str  # "difference" or "ratio"
    more: str
    less: str
    tip: str


TEST = Measure(
    "test",
    "Test",
    "test result",
    "difference",
    "is {} better on test data than",
    "is {} worse on test data than",
    "Metric on the test part, once, with the state that was best on validation data. Mean and 95 % t interval.",
)
ENERGY = Measure(
    "energy_j",
    "Energy, training",
    "energy",
    "ratio",
    "uses {} more energy to train than",
    "uses {} less energy to train than",
    "Joules of the training windows, gross: idle power is not subtracted. Validation, checkpoints and tests are apart.",
)
TIME = Measure(
    "train_s",
    "Time, training",
    "time",
    "ratio",
    "takes {} more time to train than",
    "takes {} less time to train than",
    "Wall-clock seconds of the training windows; validation, checkpoints and loading are not in it.",
)
CPU_TIME = Measure(
    "cpu_s",
    "CPU time, training",
    "CPU time",
    "ratio",
    "takes {} more CPU time to train than",
    "takes {} less CPU time to train than",
    "Seconds that processors worked for the training windows: less than the clock's disturbed by what else they do. "
    "Not said of runs on a GPU.",
)
MEMORY = Measure(
    "live_bytes",
    "Working memory",
    "working memory",
    "ratio",
    "needs {} more working memory than",
    "needs {} less working memory than",
    "Most bytes that tensors made by training hold at once: activations, gradients, temporaries, a cached prefix. "
    "Counted in the second step of every phase, exactly. Parameters, optimizer state and data are apart.",
)
COMPARED = (TEST, ENERGY, TIME, CPU_TIME, MEMORY)
SHOWN_TIPS = {
    "peak_bytes": "Highest memory of the process (on a GPU: of its allocator), most of it libraries and data; the "
    "provenance says how it was measured. Shown, not compared: repeats of one run differ by more than arms do.",
    "all_j": "Joules of the whole run: setting up, training, validating, saving and predicting.",
    "to_target_j": "Joules of training until validation first reached the target; given only where all runs did.",
    "reached": "Runs whose test result reached the target, of all that were started: failed runs count.",
    "data_passes": "How often the training data went through the net, over all phases.",
    "converged": "Runs that the stopping rule ended; the others ended because their budget of epochs was used up.",
    "co2e_g": "Derived, not measured: energy x intensity; the boundary box says which intensity, and its source.",
    "trained": "Parameters that the rule trains, and of these plus others the ones a prediction uses.",
}


@dataclass(frozen=True)
class Basis:
    """The energy of a study. ``ranked``: it was measured, in ``parts`` alike; ``reason`` says why it is not."""

    ranked: bool
    method: str
    parts: Parts
    reason: str

    @property
    def components(self) -> list[str]:
        return sorted(name for name, _ in self.parts)


def basis(runs: Sequence[Run]) -> Basis:
    """Which components count: those that were measured in the same way in most runs."""
    windows = [run.record["energy"]["train"] for run in runs if run.record and "train" in run.record["energy"]]
    measured = Counter(found for found in map(_measured, windows) if found)
    if measured:
        (parts, _), *_rest = sorted(measured.items(), key=lambda item: (-item[1], sorted(item[0])))
        return Basis(True, worst(method for _, method in parts), parts, "")
    if not windows:
        return Basis(False, UNAVAILABLE, frozenset(), "no run was metered")
    method = worst(window["method"] for window in windows)
    described: dict[str, str] = {}
    for window in windows:
        for name, part in window["components"].items():
            what = part["reason"] if part["method"] == UNAVAILABLE else part["source"]
            described[name] = f"{name} is {part['method']}" + (f" ({what})" if what else "")
    return Basis(False, method, frozenset(), "; ".join(described[name] for name in sorted(described)))


def values(run: Run, found: Basis) -> dict[str, float | None]:
    """Every number of a finished run that the report averages or compares; None where it has none."""
    record = run.record or {}
    windows = {name: w for name, w in record["energy"].items() if not w["within"]}
    whole = [joules(window, found, adjacent=True) for window in windows.values()]
    return {
        "test": record["result"]["test"],
        "val": record["result"]["val"],
        "energy_j": joules(windows["train"], found) if "train" in windows else None,
        "all_j": None if not whole or None in whole else sum(j for j in whole if j is not None),
        "train_s": record["time"]["train_s"],
        "cpu_s": _cpu_s(record),
        "live_bytes": record["memory"]["live_bytes"],
        "peak_bytes": record["memory"]["peak_bytes"],
        "data_passes": record["result"]["data_passes"],
        "epochs": record["result"]["epochs"],
    }


def _cpu_s(record: Mapping[str, Any]) -> float | None:
    """None on a GPU, where the processor's time says little, and for a run without a meter."""
    train = record["energy"].get("train")
    return train["cpu_seconds"] if train and (record["device"] or {}).get("type") == "cpu" else None


def joules(window: Mapping[str, Any], found: Basis, adjacent: bool = False) -> float | None:
    """The energy of a window on this basis: the measured components, or the whole estimate where there are none.

    ``adjacent``: it is summed with the windows around it, so that one shorter than a tick counts too.
    """
    if not found.ranked:
        return window["total_j"]
    parts = [window["components"].get(name) or {} for name in found.components]
    known = [part["energy_j"] for part in parts if part and is_measured(part["method"])]
    if adjacent:
        known += [part["unresolved_j"] for part in parts if part.get("unresolved_j") is not None]
    return sum(known) if len(known) == len(parts) else None


def resumed(run: Run) -> str:
    """Why a run in pieces has no time and energy of its own ("": it is in one piece)."""
    times = (run.record or {})["resumes"]
    return f"it was resumed {times} time{'s' if times > 1 else ''}" if times else ""


def no_energy(run: Run, found: Basis) -> str:
    """Why a run's energy may not be ranked with the others' ("": it may)."""
    record = run.record or {}
    if pieces := resumed(run):
        return pieces
    window = record["energy"].get("train")
    if window is None:
        return "it was not metered"
    if found.ranked and _measured(window) != found.parts:
        return "its energy was metered in another way, or lacks a part"
    return ""


def devices(run: Run, found: Basis) -> list[str]:
    """What metered a run: the two of a pair must share it."""
    components = (run.record or {})["energy"]["train"]["components"]
    return [components[name]["source"] for name in found.components if name in components]


def place(run: Run) -> dict[str, Any]:
    """What two runs must share for their times and joules to be comparable."""
    record = run.record or {}
    device, config = record["device"] or {}, record["config"]
    return {
        "device": device.get("name"),
        "driver": device.get("driver"),
        "threads": record["threads"],
        "precision": config.get("precision"),
        "torch": record["versions"].get("torch"),
        "processes": record["processes"],
    }


def _measured(window: Mapping[str, Any]) -> Parts:
    return frozenset(
        (name, part["method"]) for name, part in window["components"].items() if is_measured(part["method"])
    )
