"""The command line."""

from bpfree.cli.commands.application import main

__all__ = ["main"]
