"""Tables: rows of numbers."""
