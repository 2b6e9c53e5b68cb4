"""Graphs: sparse products, and the graph that a batch lives on."""
