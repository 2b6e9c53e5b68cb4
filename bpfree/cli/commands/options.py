"""Options that several commands share, and the flags of settings, which depend on the rule, net and data."""

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bpfree.errors import InputError

if TYPE_CHECKING:
    from bpfree.training.callbacks import Callback

Algo = Annotated[str | None, typer.Option(help="the learning rule: a name or FILE.py:Class")]
Data = Annotated[
    str | None,
    typer.Option(
        help="mnist, npz:FILE, folder:DIR, FILE.py:function, …; bpfree list shows all  "
        "[default: the rule's, mostly mnist]"
    ),
]
Net = Annotated[
    str | None,
    typer.Option(help="the net: a name or FILE.py:function  [default: the rule's or the data's, such as mlp]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]
Quiet = Annotated[bool, typer.Option("--quiet", help="print no progress")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting; may be repeated")]
Meter = Annotated[
    str, typer.Option(help="energy meter: auto, nvml, nvml-sampled, rapl, codecarbon, none, or FILE.py:Class")
]
Help = Annotated[bool, typer.Option("--help", "-h", help="print this, with --algo also the settings")]


def named(algo: str | None, data: str | None, net: str | None) -> dict[str, Any]:
    """Those of rule, data and net that were named."""
    return {key: value for key, value in (("algo", algo), ("data", data), ("net", net)) if value is not None}


def print_help(context: typer.Context, algo: str | None, data: str | None, net: str | None) -> None:
    """Print the help of a command and, where a rule is named, every setting that it takes."""
    from bpfree.cli.output import info

    typer.echo(context.get_help())
    if algo is not None:
        info.print_settings(**named(algo, data, net))


def setting_flags(context: typer.Context, names: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were written as flags.

    Args:
        context: of the command; its remaining words are read.
        names: ``algo``, and ``data`` and ``net`` where they are named.

    Raises:
        InputError: no rule is named, or a flag that rule, net, data and loop do not have.
    """
    from bpfree.config import flags
    from bpfree.runs.plan import settings_of

    if "algo" not in names:
        flags.refuse_misspelt(context.args, command_flags(context))
        raise InputError(f"no rule given: bpfree {context.info_name} --algo NAME; bpfree list shows them")
    classes = settings_of(names["algo"], names.get("data"), names.get("net")).values()
    return flags.parse(context.args, classes, command_flags(context))


def command_flags(context: typer.Context) -> list[str]:
    """The flags that the command itself declares."""
    return [flag for parameter in context.command.params for flag in parameter.opts if flag.startswith("-")]


def command_line() -> str:
    """The command as it was typed, for the record."""
    return shlex.join(["bpfree", *sys.argv[1:]])


def progress_callbacks(silent: bool) -> "list[Callback]":
    """The progress line of a run, unless ``silent``; only one process of a distributed run has it."""
    from bpfree.cli.progress import Progress
    from bpfree.training.distributed import is_first_process

    return [] if silent or not is_first_process() else [Progress()]


def print_progress(line: str) -> None:
    """Print a line of progress on standard error."""
    typer.echo(line, err=True)


def no_progress(line: str) -> None:
    """Drop a line of progress."""
