"""Output of the command line: tables in a terminal, aligned plain text elsewhere."""
