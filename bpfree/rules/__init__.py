"""Learning rules, one file each: the file is the name."""
