"""Closing tables of single runs: a training, its predictions, a recipe."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bpfree.cli.output.tables import energy_text, metric_text, print_mapping, print_table, text, time_text

UNEVEN = 1.5  # the largest class is told of when it has more than this times an equal share of the rows


def print_run(record: Mapping[str, Any]) -> None:
    """Print the table that ends a training."""
    result, memory, folder = record["result"], record["memory"], record["folder"]
    metric = result["metric"]
    live = "not counted: each phase took one step only"
    if memory["live_bytes"]:
        live = f"{memory['live_bytes'] / 2**20:,.1f} MiB of tensors made by training"
    peak = f"{memory['peak_bytes'] / 2**20:,.0f} MiB ({memory['method']})" if memory["peak_bytes"] else "-"
    readouts = result["readouts"] if len(result["readouts"]) > 1 else {}
    rows = [
        (f"test {metric}", metric_text(result["test"], metric)),
        *((f"  readout {name}", metric_text(value, metric)) for name, value in readouts.items()),
        *_beside(record),
        (f"validation {metric}", metric_text(result["val"], metric)),
        ("epochs", f"{result['epochs']}{_limit(record)}"),
        ("training time", time_text(record["time"]["train_s"])),
        ("training energy", energy_text(record["energy"].get("train"))),
        *_external(record["external_systems"]),
        *_operations(record["operations"]),
        ("working memory", live),
        ("peak memory", peak),
        *_processes(record),
        ("run", folder),
        ("load", f'bpfree.load("{folder}").predict(x)'),
    ]
    print_table(rows, f"{record['algo']} on {record['data']['name']}, seed {record['seed']}: {record['status']}")


def _beside(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The metrics beside the one that is selected by, where they tell something that it does not."""
    from bpfree.functional.metrics import NAMES

    values, classes = record["extensions"].get("metrics", {}), record["data"].get("classes") or 0
    names = ["mse", "mae"] if "r2" in values else []
    if classes and values.get("majority_share", 0) * classes > UNEVEN:
        names = ["balanced_accuracy", "majority_share"]
    yield from ((f"  {NAMES[name]}", metric_text(values[name], name)) for name in names)
    yield from _own(values)


def _own(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The user's own metric, or why it has no value."""
    if own := values.get("own"):
        yield f"  {own['name']}", own["error"] or metric_text(own["value"], "own")


def print_evaluation(values: Mapping[str, Any], as_json: bool) -> None:
    """Print the metrics of a model on a data set, and its confusion matrix.

    Args:
        values: returned by `bpfree.runs.model.evaluate`.
        as_json: print JSON.
    """
    from bpfree.functional.metrics import NAMES

    if as_json:
        print_mapping(values, as_json)
        return
    facts, beside = dict(values), dict(values["metrics"])
    del facts["metrics"]
    shown = [(NAMES[name], metric_text(value, name)) for name, value in beside.items() if name in NAMES]
    rows = [(key.replace("_", " "), text(value)) for key, value in facts.items() if key not in ("metric", "test")]
    selected = (f"test {facts['metric']}", metric_text(facts["test"], facts["metric"]))
    print_table([*rows, selected, *shown, *_own(beside)])
    if counts := beside.get("confusion"):
        classes = range(len(counts))
        print_table(
            ([f"class {i}", *row] for i, row in zip(classes, counts, strict=True)),
            "\nRows of each class by the class predicted",
            ("", *map(str, classes)),
        )


def _limit(record: Mapping[str, Any]) -> str:
    """The limit that ended the run, where one did."""
    limit = record["limit"]
    if not limit:
        return ""
    passes = record["result"]["data_passes"]
    return f" ({passes:.3g} data passes; ended by {limit} = {record['config'][limit]:g})"


def _processes(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if (record["processes"] or 1) > 1:
        same = "" if record["batch_separable"] else "; the result may differ from that of one process"
        yield "processes", f"{record['processes']}{same}"


def _external(systems: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    """Uses of each physical system and of the digital machine beside it, in separate accounts."""
    for system in systems:
        surrogate = system["surrogate"]
        yield f"{system['system']}: physical calls", _counts(system["physical_calls"])
        yield f"{system['system']}: digital multiply-adds", _counts(system["digital_macs"])
        if surrogate["r2"] is not None:
            costs = {"physical calls": surrogate["physical_calls"], "multiply-adds": surrogate["digital_macs"]}
            yield f"{system['system']}: its surrogate (R2 {surrogate['r2']:.3f})", _counts(costs)


def _operations(operations: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    """Operations of a prediction, and apart from every measured energy what they would cost by a model."""
    if operations is None:
        return
    yield "a prediction", ", ".join(f"{name} {count:,.0f}" for name, count in operations["a_prediction"].items())
    model = operations["energy"]
    each = ", ".join(f"{name} {cost:g}" for name, cost in model["picojoules"].items())
    yield "its energy, modelled", f"≈ {model['j_a_prediction'] * 1e9:.3g} nJ (est. from operations alone, pJ: {each})"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def print_predictions(
    predictions: Sequence[str] | Sequence[float], as_json: bool, names: Sequence[str] | None = None
) -> None:
    """Print a prediction a line, or all as JSON: a list, or an object by name.

    Args:
        predictions: class names, or numbers where the task has no classes.
        as_json: print JSON.
        names: of the examples, which stand before the predictions; None: they have none.
    """
    if as_json:
        print(json.dumps(dict(zip(names, predictions, strict=True)) if names else list(predictions)))
        return
    lines = map(text, predictions)
    print("\n".join(map("\t".join, zip(names, lines, strict=True)) if names else lines))


def print_recipe(summary: Mapping[str, Any]) -> None:
    """Print the results of a recipe beside its targets."""
    metric, rows = summary["metric"], []
    for name, figures in summary["figures"].items():
        sd = "-" if figures["sd"] is None else metric_text(figures["sd"], metric)
        target = metric_text(summary["target"].get(name), metric)
        rows.append((name, metric_text(figures["mean"], metric), sd, str(figures["n"]), target))
    headers = ("test " + metric, "mean", "sd", "n", "target")
    print_table(rows, f"{summary['recipe']}: {summary['about']}", headers)
    print(f"  {summary['verdict']}; training time a seed {time_text(summary['train_s'])}; runs in {summary['folder']}")
