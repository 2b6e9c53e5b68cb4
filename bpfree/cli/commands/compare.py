"""``bpfree compare``: rules side by side, as one study."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bpfree.cli.commands import options
from bpfree.errors import InputError
from bpfree.studies.options import CompareOptions, flags_as_typed, help_text


def compare(
    context: typer.Context,
    algos: Annotated[str | None, typer.Option(help="the arms, rule or rule:key=value,…, with commas between")] = None,
    data: options.Data = None,
    net: options.Net = None,
    seeds: Annotated[str | None, typer.Option(help="how many, such as 5, or which: 0,1,2  [default: 5]")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the study  [default: runs/study-<a new one>]")] = None,
    config: Annotated[str | None, typer.Option(help="YAML file of a study, or a recipe by name")] = None,
    controls: Annotated[str | None, typer.Option(help="controls instead of the usual ones, or none")] = None,
    tune: Annotated[int | None, typer.Option(help=help_text(CompareOptions, "tune"))] = None,
    tune_epochs: Annotated[int | None, typer.Option(help=help_text(CompareOptions, "tune_epochs"))] = None,
    quick: Annotated[bool, typer.Option("--quick", help=help_text(CompareOptions, "quick"))] = False,
    target: Annotated[float | None, typer.Option(help=help_text(CompareOptions, "target"))] = None,
    margin: Annotated[float | None, typer.Option(help=help_text(CompareOptions, "margin_pp"))] = None,
    jobs: Annotated[int | None, typer.Option(help=help_text(CompareOptions, "jobs"))] = None,
    idle: Annotated[float | None, typer.Option(help=help_text(CompareOptions, "idle_s"))] = None,
    set_: options.Set = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    meter: options.Meter = "auto",
    help_: Annotated[bool, typer.Option("--help", "-h", help="print this; bpfree info RULE lists settings")] = False,
) -> None:
    """Compare rules: arms x seeds as paired runs, twins, controls, two budgets, one report.

    Settings given as flags hold for every arm that has them; those of one arm are written behind its rule:
    bpfree compare --algos mono-forward:lr=0.01,forward-forward --hidden 500,500 --seeds 5 --out study
    """
    if help_:
        typer.echo(context.get_help())
        return
    from bpfree.cli.output import studies
    from bpfree.config import flags
    from bpfree.runs import recipes
    from bpfree.studies import notation
    from bpfree.studies.compare import compare as run_study

    values: dict[str, Any] = recipes.study(config) if config else {}
    typed: dict[str, Any] = {"algos": algos, "data": data, "net": net, "seeds": seeds, "controls": controls}
    typed |= {"tune": tune, "tune_epochs": tune_epochs, "target": target, "margin_pp": margin}
    typed |= {"jobs": jobs, "idle_s": idle, "quick": quick or None}
    values |= {key: value for key, value in typed.items() if value is not None}
    flags_here = options.command_flags(context)
    if "algos" not in values:
        flags.refuse_misspelt(context.args, flags_here)
        raise InputError(notation.NO_ARMS)
    values["data"] = values.get("data") or notation.default_data(values["algos"])
    values = {"meter": meter, **values, **flags.pairs(set_ or ())}
    values |= flags.parse(context.args, notation.settings_of(**values), flags_here)
    say = options.no_progress if quiet or as_json else options.print_progress
    with flags_as_typed(CompareOptions):
        results = run_study(**values, out=out, command=options.command_line(), say=say)
    print(json.dumps(results, indent=1)) if as_json else studies.print_study(results, results["folder"])
    if results["stopped"]:
        typer.echo(f"stopped: go on with the same command and --out {results['folder']}", err=True)
        raise typer.Exit(130)
    raise typer.Exit(1 if any(item["status"] != "finished" for item in results["runs"]) else 0)
