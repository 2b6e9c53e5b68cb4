"""The command line. It holds no logic: every command calls what Python users call, and prints what comes back."""

import io
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bpfree.errors import BpfreeError, InputError

_OPEN = {"allow_extra_args": True, "ignore_unknown_options": True}  # settings are read by bpfree.config.flags
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train neural networks without backpropagation.",
    context_settings={"help_option_names": ["--help", "-h"]},
)

Data = Annotated[
    str | None,
    typer.Option(
        help="mnist, cifar10, npz:FILE, folder:DIR, …; bpfree list shows all  [default: the rule's, mostly mnist]"
    ),
]
Net = Annotated[str | None, typer.Option(help="the net  [default: the rule's or the data's own, such as mlp]")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting; may be repeated")]
Backend = Annotated[str, typer.Option(help="energy meter: auto, nvml, nvml-sampled, rapl, codecarbon or none")]


@app.command(context_settings=_OPEN, add_help_option=False)
def train(
    context: typer.Context,
    algo: Annotated[str | None, typer.Option(help="the learning rule: a name or FILE.py:Class")] = None,
    data: Data = None,
    net: Net = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run  [default: runs/<a new one>]")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings")] = None,
    set_: Set = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress, only the closing table")] = False,
    meter: Backend = "auto",
    help_: Annotated[bool, typer.Option("--help", "-h", help="also lists the settings, with --algo")] = False,
) -> None:
    """Train once. Every setting is a flag: bpfree train --algo RULE --help lists them.

    What counts: flags before --set before the file given with --config before the rule's own defaults.
    """
    from bpfree.cli import output
    from bpfree.config import flags

    named = {key: value for key, value in (("algo", algo), ("data", data), ("net", net)) if value is not None}
    if help_:
        typer.echo(context.get_help())
        if "algo" in named:
            output.settings_of(**named)
        return
    from bpfree.runs import train as run

    values = {**(flags.configuration(config) if config else {}), **flags.pairs(set_ or ()), **named}
    base = {**(run.read_config(resume) if resume else {}), **values}
    values |= _settings(context, base)
    callbacks = [] if quiet or as_json else [output.progress()]
    command = shlex.join(["bpfree", *sys.argv[1:]])
    record = run.train(out=out, resume=resume, meter=meter, callbacks=callbacks, command=command, **values)
    if run.is_first_process():
        print(json.dumps(record, indent=1)) if as_json else output.closing(record)
    if record["status"] == "stopped":
        folder = record["extra"]["folder"]
        typer.echo(f"{record['error']}: everything is saved; go on with bpfree train --resume {folder}", err=True)
        raise typer.Exit(130)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    file: Annotated[Path | None, typer.Argument(help="examples: a .npy array (N, …), or one image")] = None,
    data: Annotated[str | None, typer.Option(help="or judge on the test part of this data set")] = None,
    readout: Annotated[str | None, typer.Option(help="another readout of the same net")] = None,
    device: Annotated[str | None, typer.Option(help="where to compute  [default: as in training]")] = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Predict with a trained run: a class or an error a line for FILE, or the metric on a data set."""
    from bpfree.cli import output
    from bpfree.config import flags
    from bpfree.runs import model

    if (file is None) == (data is None):
        raise InputError("give one of FILE and --data")
    chosen: dict[str, Any] = {k: v for k, v in (("readout", readout), ("device", device)) if v is not None}
    loaded = model.load(run, **chosen)
    if file is not None:
        output.predictions(loaded.predictions(model.read_examples(file, loaded)), as_json)
        return
    output.mapping(model.evaluate(loaded, str(data), flags.pairs(set_ or ())), as_json)


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """List rules, nets, data and recipes."""
    from bpfree.cli import output

    output.everything(as_json)


@app.command()
def info(rule: Annotated[str, typer.Argument(help="a rule: a name or FILE.py:Class")]) -> None:
    """Explain a rule: paper, equations, shapes, settings, owners, cost."""
    from bpfree.cli import output

    output.rule(rule)


@app.command(context_settings=_OPEN)
def data(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="mnist, cifar10, npz:FILE, folder:DIR, …; bpfree list shows all")],
    seed: Annotated[int, typer.Option(help="of the validation split")] = 0,
    picture: Annotated[bool, typer.Option("--show", help="also draw some of it, as PNG, into this folder")] = False,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Describe a data set: rows, shape, classes, statistics, hash, origin. Its settings are flags, as in train."""
    from bpfree import data as data_room
    from bpfree.cli import output
    from bpfree.config import flags

    settings = flags.parse(context.args, [data_room.reader_of(name).Settings], _own(context))
    chosen, drawn = {**flags.pairs(set_ or ()), **settings}, {}
    if picture:
        kind, _, where = name.partition(":")
        file = Path("-".join(filter(None, (kind, Path(where).stem))) + ".png")
        data_room.picture(name, file, chosen, seed)
        drawn["picture"] = str(file)
    output.mapping({**data_room.describe(name, chosen, seed), **drawn}, as_json)


@app.command()
def doctor(as_json: AsJson = False, meter: Backend = "auto") -> None:
    """Show devices, energy meters, folders and versions, and why one is missing."""
    from bpfree.cli import doctor

    doctor.show(doctor.examine(meter), as_json)


@app.command(context_settings=_OPEN)
def reproduce(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="name of a recipe (bpfree list shows them), or a YAML file")],
    out: Annotated[
        Path | None,
        typer.Option(help="folder of the runs  [default: runs/reproduce/<recipe>, or <recipe>-changed-<hash>]"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="how many, such as 5, or which: 0,1,2  [default: the recipe's]")
    ] = None,
    set_: Set = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    meter: Backend = "auto",
) -> None:
    """Run a recipe for each of its seeds and hold the result against its target. Finished seeds are not run again.

    Settings given as flags change the recipe, which its target then does not judge.
    """
    from bpfree.cli import output
    from bpfree.config import flags
    from bpfree.runs import recipes

    changes = {**flags.pairs(set_ or ()), **_settings(context, recipes.load(recipe).config)}
    callbacks = [] if quiet or as_json else [output.progress()]
    command = shlex.join(["bpfree", *sys.argv[1:]])
    summary = recipes.reproduce(
        recipe, out, seeds=seeds, changes=changes, meter=meter, callbacks=callbacks, command=command
    )
    print(json.dumps(summary, indent=1)) if as_json else output.summary(summary)
    raise typer.Exit({"stopped": 130, "missed": 1}.get(summary["verdict"], 0))


@app.command(name="report")
def report_(
    folders: Annotated[list[Path], typer.Argument(help="a study, runs, or folders that hold runs")],
    out: Annotated[Path | None, typer.Option(help="where to  [default: the study's folder, or report]")] = None,
    where: Annotated[str, typer.Option("--co2", help="country (FRA) or g CO2e per kWh, for a derived CO2e")] = "",
    pue: Annotated[float, typer.Option(min=1.0, help="power of the whole building over that of its computers")] = 1.0,
    draft: Annotated[bool, typer.Option("--draft", help="accept energies of a test double, marked so")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare finished runs: verdicts with intervals, tables and charts in one HTML file."""
    from bpfree.cli import output
    from bpfree.reports.report import report

    found, files = report(folders, out, where, draft, pue)
    print(json.dumps(found, indent=1)) if as_json else output.report(found, files)


@app.command(context_settings=_OPEN, add_help_option=False)
def compare(
    context: typer.Context,
    algos: Annotated[str | None, typer.Option(help="the arms, rule or rule:key=value,…, with commas between")] = None,
    data: Data = None,
    net: Net = None,
    seeds: Annotated[str | None, typer.Option(help="how many, such as 5, or which: 0,1,2  [default: 5]")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the study  [default: runs/study-<a new one>]")] = None,
    config: Annotated[str | None, typer.Option(help="YAML file of a study, or a recipe by name")] = None,
    controls: Annotated[str | None, typer.Option(help="controls instead of the usual ones, or none")] = None,
    tune: Annotated[int | None, typer.Option(help="search each arm's settings first, with this many trials")] = None,
    tune_epochs: Annotated[int | None, typer.Option(help="epochs of a trial at most  [default: 20]")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="few rows, few passes, narrow layers, labelled so")] = False,
    target: Annotated[float | None, typer.Option(help="test metric whose cost is asked for, such as 0.97")] = None,
    margin: Annotated[float | None, typer.Option(help="points that count as equal  [default: 0.25]")] = None,
    jobs: Annotated[int | None, typer.Option(help="runs at the same time, where the meter can tell them apart")] = None,
    idle: Annotated[float | None, typer.Option(help="seconds of idle power, measured first  [default: 5]")] = None,
    set_: Set = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    meter: Backend = "auto",
    help_: Annotated[bool, typer.Option("--help", "-h", help="say this; bpfree info RULE lists settings")] = False,
) -> None:
    """Compare rules: arms x seeds as paired runs, twins, controls, two budgets, one report.

    Settings given as flags hold for every arm that has them; those of one arm are written behind its rule:
    bpfree compare --algos mono-forward:lr=0.01,forward-forward --hidden 500,500 --seeds 5 --out study
    """
    if help_:
        typer.echo(context.get_help())
        return
    from bpfree.cli import output
    from bpfree.config import flags
    from bpfree.runs import recipes
    from bpfree.runs import train as run
    from bpfree.studies import arms
    from bpfree.studies import compare as study

    named: dict[str, Any] = {"algos": algos, "data": data, "net": net, "seeds": seeds, "controls": controls}
    named |= {"tune": tune, "tune_epochs": tune_epochs, "target": target, "margin_pp": margin}
    named |= {"jobs": jobs, "idle_s": idle}
    values = recipes.study(config) if config else {}
    values |= {key: value for key, value in named.items() if value is not None}
    own = _own(context)
    if "algos" not in values:
        flags.misspelt(context.args, own)
        raise InputError(arms.NO_ARMS)
    values["data"] = values.get("data") or arms.default_data(values["algos"])
    values |= flags.pairs(set_ or ()) | flags.parse(context.args, arms.settings_of(**values), own)
    command = shlex.join(["bpfree", *sys.argv[1:]])
    say = _silent if quiet or as_json else _progress
    folder = out or run.new_folder("study", str(values["data"]))
    values = {"quick": quick, "meter": meter, **values} | ({"quick": True} if quick else {})
    found = study.compare(**values, out=folder, command=command, say=say)
    print(json.dumps(found, indent=1)) if as_json else output.study(found, folder)
    if found["stopped"]:
        typer.echo(f"stopped: go on with the same command and --out {folder}", err=True)
        raise typer.Exit(130)
    raise typer.Exit(1 if any(item["status"] != "finished" for item in found["runs"]) else 0)


@app.command(context_settings=_OPEN, add_help_option=False)
def tune(
    context: typer.Context,
    algo: Annotated[str | None, typer.Option(help="the learning rule: a name or FILE.py:Class")] = None,
    data: Data = None,
    net: Net = None,
    trials: Annotated[int, typer.Option(help="trials, over all workers")] = 20,
    search: Annotated[str | None, typer.Option(help="settings to search, such as lr,weight_decay")] = None,
    storage: Annotated[str | None, typer.Option(help="database URL that workers share  [default: a file]")] = None,
    name: Annotated[str | None, typer.Option(help="name of the search in the storage")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the result  [default: runs/tune-<a new one>]")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings that are not searched")] = None,
    prune: Annotated[bool, typer.Option(help="give up trials below the median")] = True,
    set_: Set = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    meter: Backend = "auto",
    help_: Annotated[bool, typer.Option("--help", "-h", help="also lists the settings, with --algo")] = False,
) -> None:
    """Search a rule's settings on validation data. What is given as a flag is not searched.

    Start it several times with one --storage and --name, and the workers share the trials. The best settings are in
    best.yaml: bpfree train --config FOLDER/best.yaml.
    """
    from bpfree.cli import output
    from bpfree.config import flags

    given = {key: value for key, value in (("algo", algo), ("data", data), ("net", net)) if value is not None}
    if help_:
        typer.echo(context.get_help())
        if "algo" in given:
            output.settings_of(**given)
        return
    from bpfree.studies import tune as room

    values: dict[str, Any] = {**(flags.configuration(config) if config else {}), **flags.pairs(set_ or ()), **given}
    values |= _settings(context, values)
    wanted = None if search is None else [item.strip().replace("-", "_") for item in search.split(",") if item.strip()]
    say = _silent if quiet or as_json else _progress
    values |= {"trials": trials, "search": wanted, "storage": storage, "name": name, "out": out, "prune": prune}
    found = room.tune(**values, meter=meter, say=say)
    print(json.dumps(found, indent=1)) if as_json else output.search(found)
    if found["status"] == "stopped":
        typer.echo(f"stopped: go on with the same command and --out {found['folder']}", err=True)
        raise typer.Exit(130)


def _settings(context: typer.Context, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Settings given as flags, of the rule, data and net that were ``chosen``."""
    from bpfree.config import flags
    from bpfree.runs import train as run

    if "algo" not in chosen:
        flags.misspelt(context.args, _own(context))
        raise InputError(f"no rule given: bpfree {context.info_name} --algo NAME; bpfree list shows them")
    classes = run.settings_of(chosen["algo"], chosen.get("data"), chosen.get("net")).values()
    return flags.parse(context.args, classes, _own(context))


def _own(context: typer.Context) -> list[str]:
    """The command's own flags, beside the settings."""
    return [flag for parameter in context.command.params for flag in parameter.opts if flag.startswith("-")]


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def _silent(line: str) -> None:
    """Nobody wants to hear of the progress."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command ``bpfree``: one line on standard error and an exit code for what went wrong."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows ? in its place
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        return app(arguments, prog_name="bpfree", standalone_mode=False) or 0
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in bpfree list | head -1
        sys.stdout = None  # type: ignore[assignment]
        return 1
    except BpfreeError as error:
        return _error(str(error), error.exit_code)
    except _UsageError as error:
        return _error(error.format_message() or "a command is missing: see bpfree --help", 2)
    except Exception as error:
        from energy import EnergyError

        if isinstance(error, EnergyError):
            return _error(str(error), 2)
        raise


def _error(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
