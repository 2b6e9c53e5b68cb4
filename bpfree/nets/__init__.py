"""Nets as lists of blocks, without training logic."""
