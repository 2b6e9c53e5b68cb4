"""Runs: from one configuration to one folder with its record, and back to a model."""
