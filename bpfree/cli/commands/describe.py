"""``bpfree list``, ``info``, ``data`` and ``doctor``: what there is, without training."""

from pathlib import Path
from typing import Annotated

import typer

from bpfree.cli.commands import options


def list_(as_json: options.AsJson = False) -> None:
    """List rules, nets, data, energy meters and recipes."""
    from bpfree.cli.output import info

    info.print_names(as_json)


def info(rule: Annotated[str, typer.Argument(help="a rule: a name or FILE.py:Class")]) -> None:
    """Explain a rule: paper, equations, shapes, settings, owners, cost."""
    from bpfree.cli.output import info

    info.print_rule(rule)


def data(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="mnist, cifar10, npz:FILE, folder:DIR, …; bpfree list shows all")],
    seed: Annotated[int, typer.Option(help="seed of the validation split")] = 0,
    picture: Annotated[bool, typer.Option("--show", help="also draw some of it, as PNG, into this folder")] = False,
    set_: options.Set = None,
    as_json: options.AsJson = False,
) -> None:
    """Describe a data set: rows, shape, classes, statistics, hash, origin. Its settings are flags, as in train."""
    from bpfree import data as data_room
    from bpfree.cli.output import tables
    from bpfree.config import flags

    values = flags.pairs(set_ or ())
    values |= flags.parse(context.args, [data_room.reader_of(name).Settings], options.command_flags(context))
    drawn = {}
    if picture:
        kind, _, where = name.partition(":")
        file = Path("-".join(filter(None, (kind, Path(where).stem))) + ".png")
        data_room.picture(name, file, values, seed)
        drawn["picture"] = str(file)
    tables.print_mapping({**data_room.describe(name, values, seed), **drawn}, as_json)


def doctor(as_json: options.AsJson = False, meter: options.Meter = "auto") -> None:
    """Show devices, energy meters, folders and versions, and why one is missing."""
    from bpfree.cli.doctor import show
    from bpfree.runs.doctor import examine

    show(examine(meter), as_json)
