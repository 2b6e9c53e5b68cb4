"""Commands, a file for those that belong together. They hold no logic: they call the Python functions and print."""

from bpfree.cli.commands.application import app, main

__all__ = ["app", "main"]
