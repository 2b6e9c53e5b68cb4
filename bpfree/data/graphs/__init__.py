"""Graphs as data: citation networks, graphs of other libraries, and files of the user."""
