"""Sources: the counters and models that joules are read from."""
