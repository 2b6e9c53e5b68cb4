"""What the command line prints: tables in a terminal, aligned plain text elsewhere."""

import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bpfree.config import flags, resolve
from bpfree.config.settings import Option, options

if TYPE_CHECKING:
    from bpfree.training.callbacks import Progress
    from bpfree.training.trainer import Trainer

console = Console(highlight=False, markup=False)


def table(rows: Iterable[Sequence[str]], title: str = "", headers: Sequence[str] = ()) -> None:
    """Rows of text as columns."""
    rows = [tuple(map(str, row)) for row in rows]
    if console.is_terminal:
        grid = Table(title=title or None, title_justify="left", title_style="bold", box=None, show_header=bool(headers))
        for i in range(len(rows[0]) if rows else 0):
            grid.add_column(headers[i] if headers else "", style="cyan" if i == 0 else "", overflow="fold")
        for row in rows:
            grid.add_row(*row)
        console.print(grid)
        return
    if title:
        print(title)
    lines = [*([tuple(headers)] if headers else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def mapping(values: Mapping[str, Any], as_json: bool = False, title: str = "") -> None:
    """Names and values, one a line."""
    if as_json:
        print(json.dumps(values, indent=1))
    else:
        table([(key.replace("_", " "), _text(value)) for key, value in values.items()], title)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        if len(value) > 20:
            return f"{_text(value[:3])} … {_text(value[-1])} ({len(value)} in all)"
        return " ".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def progress() -> "Progress":
    """The progress line for a run; the other processes of a distributed one are silent."""
    from bpfree.runs.train import is_first_process
    from bpfree.training.callbacks import Callback, Progress

    return Progress() if is_first_process() else Callback()  # type: ignore[return-value]


# Runs -----------------------------------------------------------------------------------------------------------------


def closing(record: Mapping[str, Any]) -> None:
    """The table that ends a training."""
    result, memory, folder = record["result"], record["memory"], record["extra"]["folder"]
    metric = result["metric"]
    live = "not counted: each phase took one step only"
    if memory["live_bytes"]:
        live = f"{memory['live_bytes'] / 2**20:,.1f} MiB of tensors made by training"
    peak = f"{memory['peak_bytes'] / 2**20:,.0f} MiB ({memory['method']})" if memory["peak_bytes"] else "-"
    rows = [(f"test {metric}", number(result["test"], metric)), (f"validation {metric}", number(result["val"], metric))]
    if len(result["readouts"]) > 1:
        rows[1:1] = [(f"  readout {name}", number(value, metric)) for name, value in result["readouts"].items()]
    rows += [
        ("epochs", f"{result['epochs']}"),
        ("training time", seconds(record["time"]["train_s"])),
        ("training energy", energy(record["energy"].get("train"))),
        *_outside(record["extra"].get("outside", ())),
        *_operations(record["extra"].get("operations")),
        ("working memory", live),
        ("peak memory", peak),
        *_processes(record["extra"]),
        ("run", folder),
        ("load", f'bpfree.load("{folder}").predict(x)'),
    ]
    table(rows, f"{record['algo']} on {record['data']['name']}, seed {record['seed']}: {record['status']}")


def _processes(extra: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if extra.get("processes", 1) > 1:
        same = "" if extra["batch_separable"] else "; may differ from what one process learns"
        yield "processes", f"{extra['processes']}{same}"


def _outside(things: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    """What was asked of physical systems and of the digital machine beside them, each account apart."""
    for thing in things:
        surrogate = thing["surrogate"]
        yield f"{thing['system']}: physical calls", _accounts(thing["physical_calls"])
        yield f"{thing['system']}: digital multiply-adds", _accounts(thing["digital_macs"])
        if surrogate["r2"] is not None:
            costs = {"physical calls": surrogate["physical_calls"], "multiply-adds": surrogate["digital_macs"]}
            yield f"{thing['system']}: its surrogate (R2 {surrogate['r2']:.3f})", _accounts(costs)


def _operations(found: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    """Operations of a prediction, and apart from every measured energy what they would cost by a model."""
    if found is None:
        return
    yield "a prediction", ", ".join(f"{name} {count:,.0f}" for name, count in found["a_prediction"].items())
    model = found["energy"]
    each = ", ".join(f"{name} {cost:g}" for name, cost in model["picojoules"].items())
    yield "its energy, modelled", f"≈ {model['j_a_prediction'] * 1e9:.3g} nJ (est. from operations alone, pJ: {each})"


def _accounts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def number(value: float | None, metric: str) -> str:
    """A metric as people read it; "-" when there is none."""
    if value is None:
        return "-"
    return f"{value:.2%}" if metric == "accuracy" else f"{value:.6g}"


def seconds(value: float | None) -> str:
    from bpfree.training.callbacks import clock

    if value is None:
        return "-"
    return f"{value:.1f} s" if value < 60 else f"{value:.0f} s ({clock(value)})"


def energy(reading: Mapping[str, Any] | None) -> str:
    """Joules with their label; the reason when there is no such figure."""
    from energy import show as show_joules

    if reading is None or reading["total_j"] is None:
        parts = (reading or {}).get("components", {})
        reasons = dict.fromkeys(part["reason"] for part in parts.values() if part.get("reason"))
        return f"unavailable: {'; '.join(reasons) or 'no meter'}"
    return show_joules(reading["total_j"], reading["method"]).replace("(est.)", f"(est., {reading['method']})")


def predictions(answers: Sequence[str] | Sequence[float], as_json: bool) -> None:
    print(json.dumps(list(answers)) if as_json else "\n".join(map(_text, answers)))


def report(found: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Faults, warnings, results and verdicts of a report, and where it is."""
    from bpfree.reports.tables import cells

    for kind in ("fault", "warning"):
        for text in found[f"{kind}s"]:
            print(f"{kind}: {text}")
    _verdicts(found, None)
    for budget in found["budgets"]:
        heads, rows = cells(found, budget, ("test", "energy_j", "train_s", "live_bytes", "data_passes"))
        print()
        table(rows, budget["name"], heads)
        _verdicts(found, budget["name"])
    print(f"\nreport: {next(path for path in files if path.suffix == '.html')}")


def _verdicts(found: Mapping[str, Any], budget: str | None) -> None:
    """What is said of a budget, or of all (None); comparisons that come to nothing for one reason share a line."""
    reasons: dict[str, list[str]] = {}
    for line in found["verdicts"]:
        if line["budget"] == budget:
            reasons.setdefault(line["text"].partition(", because ")[2] or line["text"], []).append(line["text"])
    for reason, texts in reasons.items():
        print(texts[0] if len(texts) == 1 else f"Cannot conclude on {len(texts)} differences, because {reason}")


def summary(found: Mapping[str, Any]) -> None:
    """A recipe's outcome against its target."""
    metric, rows = found["metric"], []
    for name, figures in found["figures"].items():
        sd = "-" if figures["sd"] is None else number(figures["sd"], metric)
        target = found["target"].get(name)
        rows.append((name, number(figures["mean"], metric), sd, str(figures["n"]), number(target, metric)))
    table(rows, f"{found['recipe']}: {found['about']}", ("test " + metric, "mean", "sd", "n", "target"))
    print(f"  {found['verdict']}; training time a seed {seconds(found['train_s'])}; runs in {found['folder']}")


def study(found: Mapping[str, Any], folder: Any) -> None:
    """What a comparison has left behind: its runs by arm, what a reader must know first, and where the report is."""
    rows = []
    for arm in found["arms"]:
        mine = [run for run in found["runs"] if run["arm"] == arm["name"]]
        states = ("finished", "failed", "stopped", "planned")
        counts = [f"{state} {n}" for state in states if (n := sum(run["status"] == state for run in mine))]
        trials = arm["search"]["trials"] if arm["search"] else "-"
        rows.append((arm["name"], arm["role"], ", ".join(counts), str(trials)))
    quick = " (quick: budget reached, not converged)" if found["quick"] else ""
    table(rows, f"{found['name']}{quick}", ("arm", "role", "runs", "trials"))
    written = Path(folder, "report.json")
    if written.exists():
        report(json.loads(written.read_text()), [written.with_suffix(".html")])


def search(found: Mapping[str, Any]) -> None:
    """The outcome of a search."""
    best, cost = found["best"], found["cost"]
    rows = []
    if best:
        rows = [("best validation metric", f"{best['val']:.4g} (trial {best['number']})")]
        rows += [(name, _text(value)) for name, value in best["params"].items()]
    rows += [
        ("trials", f"{cost['trials']} of {found['trials']}, {cost['pruned']} of them pruned"),
        ("training time", seconds(cost["train_s"])),
        ("energy of all trials", energy({"total_j": cost["energy_j"], "method": cost["method"], "components": {}})),
        ("train with them", f"bpfree train --config {found['folder']}/best.yaml" if best else "-"),
        ("compare with them", as_arm(found["algo"], best["params"], found["given"]) if best else "-"),
    ]
    table(rows, f"{found['algo']} on {found['data']}: {found['status']}")


def as_arm(algo: str, params: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The command that compares an arm of these settings; what was ``given`` to the search holds for all arms."""
    from bpfree.studies.arms import OF_THE_STUDY

    own = ",".join(f"{key}={value}" for key, value in params.items() if key not in OF_THE_STUDY)
    common = {**given, **{key: value for key, value in params.items() if key in OF_THE_STUDY}}
    flags_ = [f"--{key.replace('_', '-')}={_flag(value)}" for key, value in common.items()]
    return shlex.join(["bpfree", "compare", "--algos", algo + (f":{own}" if own else ""), *flags_])


def _flag(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else "none" if value is None else str(value)


# Rules, nets, data ----------------------------------------------------------------------------------------------------


def everything(as_json: bool) -> None:
    """Rules, nets, data and recipes, each with one line. Imports no torch."""
    from bpfree import data
    from bpfree.runs import recipes

    plugins = {name: f"plug-in {point.value}" for name, point in resolve.plugins().items()}
    found = {
        "rules": {**resolve.names("rules"), **plugins},
        "nets": resolve.names("nets"),
        "data": {name: _first_line(where) for name, where in data.SOURCES.items()},
        "recipes": recipes.names(),
    }
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for title, rows in found.items():
        table(rows.items(), title)


def _first_line(where: str) -> str:
    module = where.partition(":")[0].split(".")[1:]
    text = resolve.first_line(resolve.PACKAGE.joinpath(*module).with_suffix(".py")).replace("``", "")
    return text.partition(": ")[2] or text


def settings_of(algo: str, data: str | None = None, net: str | None = None) -> None:
    """Every setting of a rule, its net, its data and the run, with defaults, ranges, what a search tries, and help."""
    from bpfree.runs import train as run

    prefer = resolve.rule(algo).prefer
    for title, cls in run.settings_of(algo, data, net).items():
        rows = []
        for option in options(cls):
            flag = option.flag + (" / --no-" + option.flag[2:] if option.type == "bool" else "")
            kind = option.range or option.type
            unit = f" [{option.unit}]" if option.unit else ""
            rows.append((flag, flags.preferred(option, prefer), kind, _searched(option), option.help + unit))
        table(rows, f"\nSettings of the {title}", ("flag", "default", "takes", "searched", ""))


def _searched(option: Option) -> str:
    """The range or the choices that `bpfree tune` tries."""
    if option.span is None:
        return " | ".join(map(str, option.search or "-"))
    low, high, log = option.span
    return f"{low:g} to {high:g}" + (", log" if log else "")


def rule(name: str) -> None:
    """A rule's docstring, settings, owners and cost."""
    cls = resolve.rule(name)
    text = sys.modules[cls.__module__].__doc__ if cls.__module__ in sys.modules else None
    print((text or cls.__doc__ or "(no description)").strip() + "\n")
    mapping({**_costs(cls), **_first_hour(name)})
    if differing := cls.departures():
        rows = [(d.name, f"{_text(d.value)} (common: {_text(d.common)})", d.reason) for d in differing]
        table(rows, "\nDiffers from the common defaults")
    settings_of(name)


def _first_hour(name: str) -> dict[str, str]:
    """The result of the rule's defaults, from the committed table of ``examples/first_hour.py``, if it is there."""
    file = resolve.PACKAGE / "rules" / "first_hour.json"
    row = json.loads(file.read_text(encoding="utf-8")).get(name) if file.exists() else None
    if row is None:
        return {}
    reached = f"test {row['metric']} {number(row['test'], row['metric'])} on {row['data']} with {row['net']}"
    return {"with its defaults": f"{reached}, {row['epochs']} epochs, {row['cpu_s']:.0f} s on one core"}


def _costs(cls: "type[Trainer]") -> dict[str, Any]:
    """Owners and passes of the rule on the net that it trains when none is named, for its own data (not loaded)."""
    from bpfree.runs import train as run
    from bpfree.training.data import Spec

    specs = (
        Spec("mnist", (1, 28, 28), 10, None, "classification", "accuracy", True, "", ""),
        Spec("vowels", (12,), 7, None, "classification", "accuracy", True, "", ""),
        Spec("cora", (1433,), 7, None, "node-classification", "accuracy", True, "", "", 2708),
    )
    try:
        trainer = cls(net=run.default_net(cls, cls.data))
        trainer.build(next(spec for spec in specs if spec.name == cls.data))
        owners = {str(key): sum(p.numel() for p in params) for key, params in trainer.owners().items()}
    except Exception as error:  # a rule for other data, or one that is still being written
        return {"owners": f"not known without its data ({type(error).__name__}: {error})"}
    return {
        "owners": "; ".join(f"{key}: {n:,} parameters" for key, n in owners.items()) or "none",
        "phases": ", ".join(phase.name for phase in trainer.phases(trainer.settings.epochs)),
        "forward passes": f"{trainer.forward_passes[0]:g} a step, {trainer.forward_passes[1]:g} a prediction",
        "torchrun": "N processes learn what one does" if cls.batch_separable else "N may learn something else than one",
        "readouts": " ".join(trainer.readouts) or None,
        "tasks": ", ".join(cls.tasks),
        "data, net": f"{cls.data}, {run.default_net(cls, cls.data)} when none is named",
    }
