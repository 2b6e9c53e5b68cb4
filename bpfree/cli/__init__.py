"""The command line."""

from bpfree.cli.commands import main

__all__ = ["main"]
