"""``bpfree train`` and ``bpfree predict``: one run, and the way back from it to predictions."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bpfree.cli.commands import options
from bpfree.errors import InputError


def train(
    context: typer.Context,
    algo: options.Algo = None,
    data: options.Data = None,
    net: options.Net = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run  [default: runs/<a new one>]")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings")] = None,
    set_: options.Set = None,
    as_json: options.AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print no progress, only the closing table")] = False,
    meter: options.Meter = "auto",
    help_: options.Help = False,
) -> None:
    """Train once. Every setting is a flag: bpfree train --algo RULE --help lists them.

    Flags count before --set, before the file of --config, before the rule's defaults.

    With little time: --max-steps N or --max-minutes M end the run early, tested and finished.
    """
    if help_:
        options.print_help(context, algo, data, net)
        return
    from bpfree.cli.output import closing
    from bpfree.config import flags
    from bpfree.runs.plan import read_config
    from bpfree.runs.train import train as run
    from bpfree.training.distributed import is_first_process

    names = options.named(algo, data, net)
    values = {**(flags.configuration(config) if config else {}), **flags.pairs(set_ or ()), **names}
    values |= options.setting_flags(context, {**(read_config(resume) if resume else {}), **values})
    callbacks, command = options.progress_callbacks(quiet or as_json), options.command_line()
    record = run(out=out, resume=resume, meter=meter, callbacks=callbacks, command=command, **values)
    if is_first_process():
        print(json.dumps(record, indent=1)) if as_json else closing.print_run(record)
    if record["status"] == "stopped":
        folder = record["folder"]
        typer.echo(f"{record['error']}: everything is saved; go on with bpfree train --resume {folder}", err=True)
        raise typer.Exit(130)


def predict(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    file: Annotated[
        Path | None,
        typer.Argument(help="examples: a picture, a folder of pictures, a .npy array (N, …), or x of a .npz file"),
    ] = None,
    data: Annotated[str | None, typer.Option(help="evaluate on the test part of this data set instead")] = None,
    readout: Annotated[str | None, typer.Option(help="another readout of the same net")] = None,
    device: Annotated[str | None, typer.Option(help="where to compute  [default: as in training]")] = None,
    input_scale: Annotated[
        str | None,
        typer.Option(
            metavar="WHITE|BLACK:WHITE",
            help="for pictures or bytes, where training saw other floats: the value that white had, such as 255, or "
            "those of black and white, such as -1:1",
        ),
    ] = None,
    set_: options.Set = None,
    as_json: options.AsJson = False,
) -> None:
    """Predict with a trained run: a class or a number a line for FILE, or the metric on a data set.

    Pictures are read as in training; --set background=… and --set size=… change that.
    """
    from bpfree.cli.output import closing
    from bpfree.config import flags
    from bpfree.data.inputs import scale_of_pictures
    from bpfree.runs import model

    if (file is None) == (data is None):
        raise InputError("give one of FILE and --data")
    overrides: dict[str, Any] = {k: v for k, v in (("readout", readout), ("device", device)) if v is not None}
    loaded = model.load(run, **overrides)
    transform = None if input_scale is None else scale_of_pictures(input_scale)
    if file is not None:
        rows, names = loaded.read(file, flags.pairs(set_ or ()))
        closing.print_predictions(loaded.predictions(rows, transform), as_json, names)
        return
    closing.print_evaluation(model.evaluate(loaded, str(data), flags.pairs(set_ or ()), transform), as_json)
