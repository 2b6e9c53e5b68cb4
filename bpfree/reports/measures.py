"""Measures that reports compare, and their values: energy only from equal meters, never of a resumed run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpfree.reports.study import Run
from energy.labels import UNAVAILABLE, is_measured, worst

Parts = frozenset[tuple[str, str]]  # component and label


@dataclass(frozen=True)
class Measure:
    """A quantity that arms are compared in.

    Attributes:
        key: of its value in `values`.
        title: head of its column.
        noun: its name in a sentence.
        scale: "difference" or "ratio" of the two runs of a pair.
        more: predicate of a verdict, with a place for the amount, where the first arm has more.
        less: the same where it has less.
        tip: its explanation.
    """

    key: str
    title: str
    noun: str
    scale: str
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
POINTS = ("accuracy", "roc-auc")  # metrics between 0 and 1, shown times 100
COMPARED = (TEST, ENERGY, TIME, CPU_TIME, MEMORY)
SHOWN_TIPS = {
    "balanced_accuracy": "Mean over the classes of the share of their test rows that is predicted right: naming the "
    "most frequent class alone gains nothing here.",
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
    """The energy that a study can compare.

    Attributes:
        ranked: whether it was measured, so that arms may be ranked by it.
        method: the worst label in it.
        parts: the components that count, each with its label.
        reason: why it is not ranked; "" where it is.
    """

    ranked: bool
    method: str
    parts: Parts
    reason: str

    @property
    def components(self) -> list[str]:
        """Names of the components that count."""
        return sorted(name for name, _ in self.parts)


def energy_basis(runs: Sequence[Run]) -> Basis:
    """The components that count: those that were measured in the same way in most runs, the trained device among them.

    Args:
        runs: finished ones.
    """
    metered = [run for run in runs if run.record and "train" in run.record["energy"]]
    windows = [(run.record or {})["energy"]["train"] for run in metered]
    measured = Counter(filter(None, map(_ranking, metered)))
    if measured:
        (parts, _), *_rest = sorted(measured.items(), key=lambda item: (-item[1], sorted(item[0])))
        return Basis(True, worst(method for _, method in parts), parts, "")
    if not windows:
        return Basis(False, UNAVAILABLE, frozenset(), "no run was metered")
    if any(map(_measured, windows)):
        kinds = sorted({_trained_on(run) for run, window in zip(metered, windows, strict=True) if _measured(window)})
        reason = f"the {' or '.join(kinds)} that trained is not among the measured components"
        return Basis(False, UNAVAILABLE, frozenset(), reason)
    method = worst(window["method"] for window in windows)
    described: dict[str, str] = {}
    for window in windows:
        for name, part in window["components"].items():
            detail = part["reason"] if part["method"] == UNAVAILABLE else part["source"]
            described[name] = f"{name} is {part['method']}" + (f" ({detail})" if detail else "")
    return Basis(False, method, frozenset(), "; ".join(described[name] for name in sorted(described)))


def values(run: Run, basis: Basis) -> dict[str, float | None]:
    """Every number of a finished run that the report averages or compares.

    Args:
        run: with its record.
        basis: the components whose energy counts.

    Returns:
        Name -> value in SI units or the metric's own; None where the run has none.
    """
    record = run.record or {}
    windows = {name: w for name, w in record["energy"].items() if not w["within"]}
    whole = [joules(window, basis, adjacent=True) for window in windows.values()]
    return {
        "test": record["result"]["test"],
        "balanced_accuracy": beside(run).get("balanced_accuracy"),
        "val": record["result"]["val"],
        "energy_j": joules(windows["train"], basis) if "train" in windows else None,
        "all_j": None if not whole or None in whole else sum(j for j in whole if j is not None),
        "train_s": record["time"]["train_s"],
        "cpu_s": _cpu_s(record),
        "live_bytes": record["memory"]["live_bytes"],
        "peak_bytes": record["memory"]["peak_bytes"],
        "data_passes": record["result"]["data_passes"],
        "epochs": record["result"]["epochs"],
    }


def beside(run: Run) -> Mapping[str, Any]:
    """The metrics of a run beside the one that its model was selected by (`bpfree.runs.metrics`).

    Args:
        run: with its record, or without.
    """
    return (run.record or {}).get("extensions", {}).get("metrics", {})


def _cpu_s(record: Mapping[str, Any]) -> float | None:
    """None on a GPU, where the processor's time says little, and for a run without a meter."""
    train = record["energy"].get("train")
    return train["cpu_seconds"] if train and (record["device"] or {}).get("type") == "cpu" else None


def joules(window: Mapping[str, Any], basis: Basis, adjacent: bool = False) -> float | None:
    """The energy of a window in J.

    Args:
        window: a reading (`bpfree.runs.schema.Window`).
        basis: the components that count; where none was measured, the whole estimate counts.
        adjacent: the window is summed with those around it, so that one shorter than a tick counts too.

    Returns:
        The sum; None where a component that counts has no value.
    """
    if not basis.ranked:
        return window["total_j"]
    parts = [window["components"].get(name) or {} for name in basis.components]
    known = [part["energy_j"] for part in parts if part and is_measured(part["method"])]
    if adjacent:
        known += [part["unresolved_j"] for part in parts if part.get("unresolved_j") is not None]
    return sum(known) if len(known) == len(parts) else None


def resumed(run: Run) -> str:
    """The reason why a resumed run has no time and energy of its own; "": it ran in one piece."""
    times = (run.record or {})["resumes"]
    return f"it was resumed {times} time{'s' if times > 1 else ''}" if times else ""


def no_energy(run: Run, basis: Basis) -> str:
    """The reason why a run's energy may not be ranked with the others'; "": it may.

    Args:
        run: with its record.
        basis: the components whose energy counts.
    """
    record = run.record or {}
    if pieces := resumed(run):
        return pieces
    window = record["energy"].get("train")
    if window is None:
        return "it was not metered"
    if basis.ranked and _ranking(run) != basis.parts:
        return "its energy was metered in another way, or lacks a part"
    return ""


def devices(run: Run, basis: Basis) -> list[str]:
    """The devices that metered a run: the two runs of a pair must share them.

    Args:
        run: with its record.
        basis: the components whose energy counts.
    """
    components = (run.record or {})["energy"]["train"]["components"]
    return [components[name]["source"] for name in basis.components if name in components]


def conditions(run: Run) -> dict[str, Any]:
    """Conditions that two runs must share for their times and joules to be comparable."""
    record = run.record or {}
    device, config = record["device"] or {}, record["config"]
    parts = record["meter"].get("components", {}).values()
    limits = {str(part["start"].get("power_limit_w")) for part in parts if part.get("start")}
    return {
        "device": device.get("name"),
        "machine": device.get("boot"),
        "driver": device.get("driver"),
        "power limit in W:": ", ".join(sorted(limits)) or None,
        "other processes on the device:": _yes(any((part.get("during") or {}).get("other_pids") for part in parts)),
        "threads": record["threads"],
        "precision": config.get("precision"),
        "torch": record["versions"].get("torch"),
        "processes": record["processes"],
    }


def err_bound(run: Run, basis: Basis) -> float | None:
    """The bound of the error of a run's training energy that its window's edges make, relative; None: unknown.

    Args:
        run: with its record.
        basis: the components whose energy counts.
    """
    window = (run.record or {})["energy"]["train"]
    parts = [window["components"][name] for name in basis.components if name in window["components"]]
    known = [part for part in parts if part["energy_j"]]
    if not known or any(part["err_bound"] is None for part in known):
        return None
    return sum(part["err_bound"] * part["energy_j"] for part in known) / sum(part["energy_j"] for part in known)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _ranking(run: Run) -> Parts:
    """The measured components of a run's training; none where they are all beside the device that trained."""
    parts = _measured((run.record or {})["energy"]["train"])
    beside = ("cpu", "ram") if _trained_on(run) == "GPU" else ("gpu", "ram")
    return frozenset() if all(name.startswith(beside) for name, _ in parts) else parts


def _trained_on(run: Run) -> str:
    """The kind of device that a run trained on: a GPU where it was not the processor."""
    return "CPU" if ((run.record or {})["device"] or {}).get("type", "cpu") == "cpu" else "GPU"


def _measured(window: Mapping[str, Any]) -> Parts:
    return frozenset(
        (name, part["method"]) for name, part in window["components"].items() if is_measured(part["method"])
    )
