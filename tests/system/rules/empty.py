"""A file without a rule."""

answer = 42
