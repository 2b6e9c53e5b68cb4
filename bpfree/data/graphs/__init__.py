"""Graphs as data: citation networks, graphs of other libraries, and the user's own files."""
