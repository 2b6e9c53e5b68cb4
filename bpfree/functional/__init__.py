"""Pure functions, each with its equation."""
