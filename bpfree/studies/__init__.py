"""Studies: many runs that belong together: comparisons and searches."""
