"""``bpfree tune``: a search of settings."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bpfree.cli.commands import options
from bpfree.studies.options import TUNE, TuneOptions, flags_as_typed, help_text


def tune(
    context: typer.Context,
    algo: options.Algo = None,
    data: options.Data = None,
    net: options.Net = None,
    trials: Annotated[int, typer.Option(help=help_text(TuneOptions, "trials"), show_default=False)] = TUNE.trials,
    search: Annotated[str | None, typer.Option(help="settings to search, such as lr,weight_decay")] = None,
    storage: Annotated[str | None, typer.Option(help=help_text(TuneOptions, "storage"))] = None,
    name: Annotated[str | None, typer.Option(help=help_text(TuneOptions, "name"))] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the result  [default: runs/tune-<a new one>]")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings that are not searched")] = None,
    prune: Annotated[bool, typer.Option(help=help_text(TuneOptions, "prune"))] = TUNE.prune,
    set_: options.Set = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    meter: options.Meter = "auto",
    help_: options.Help = False,
) -> None:
    """Search a rule's settings on validation data. Settings given as flags are not searched.

    Start it several times with one --storage and --name, and the workers share the trials. The best settings are in
    best.yaml: bpfree train --config FOLDER/best.yaml.
    """
    if help_:
        options.print_help(context, algo, data, net)
        return
    from bpfree.cli.output import studies
    from bpfree.config import flags
    from bpfree.studies.tune import tune as run_search

    values: dict[str, Any] = {**(flags.configuration(config) if config else {}), **flags.pairs(set_ or ())}
    values |= options.named(algo, data, net)
    values |= options.setting_flags(context, values)
    words = None if search is None else [word.strip().replace("-", "_") for word in search.split(",") if word.strip()]
    values |= {"trials": trials, "search": words, "storage": storage, "name": name, "out": out, "prune": prune}
    say = options.no_progress if quiet or as_json else options.print_progress
    with flags_as_typed(TuneOptions):
        results = run_search(**values, meter=meter, say=say)
    print(json.dumps(results, indent=1)) if as_json else studies.print_search(results)
    if results["status"] == "stopped":
        typer.echo(f"stopped: go on with the same command and --out {results['folder']}", err=True)
        raise typer.Exit(130)
