"""The application: its commands, and what it prints and returns when one fails."""

import io
import logging
import sys
from typing import Annotated, Any

import typer

from bpfree.cli.commands import compare, describe, report, train, tune
from bpfree.errors import BpfreeError, EnergyError, exit_code

_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}  # flags of settings: see bpfree.config.flags
_UsageError: Any = typer.BadParameter.__base__  # of typer's own click, or of click

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    """Train neural networks without backpropagation."""
    if version:
        from bpfree import __version__

        typer.echo(f"bpfree {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


# Those with settings and the rule's help of their own write --help themselves.
app.command(context_settings=_SETTINGS, add_help_option=False)(train.train)
app.command()(train.predict)
app.command(name="list")(describe.list_)
app.command()(describe.info)
app.command(context_settings=_SETTINGS)(describe.data)
app.command()(describe.doctor)
app.command(context_settings=_SETTINGS)(report.reproduce)
app.command()(report.report)
app.command(context_settings=_SETTINGS, add_help_option=False)(compare.compare)
app.command(context_settings=_SETTINGS, add_help_option=False)(tune.tune)


def main(arguments: list[str] | None = None) -> None:
    """Run a command as `run` does, and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: words of the command line; None: those of this process.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows ? in its place
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    notes = logging.StreamHandler()
    notes.setFormatter(logging.Formatter("note: %(message)s"))
    notes.addFilter(_Distinct())
    logger = logging.getLogger("bpfree")
    logger.addHandler(notes)
    try:
        return app(arguments, prog_name="bpfree", standalone_mode=False) or 0
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # the reader of the output has gone, as in bpfree list | head -1
        sys.stdout = None  # type: ignore[assignment]
        return 1
    except (BpfreeError, EnergyError) as error:
        return _error(str(error), exit_code(error))
    except OSError as error:  # of the machine, such as a file that was there when the run began
        return _error(str(error), 1)
    except _UsageError as error:
        return _error(error.format_message(), 2)
    finally:
        logger.removeHandler(notes)


class _Distinct(logging.Filter):
    """Let a line pass once a command: its runs share most of their notes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """True for a line that was not there before."""
        line = record.getMessage()
        new = line not in self.lines
        self.lines.add(line)
        return new


def _error(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
