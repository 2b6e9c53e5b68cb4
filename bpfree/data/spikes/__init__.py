"""Spike trains: spoken digits through a model of the cochlea, and files in the layout of Heidelberg."""
