"""Training: the trainer, the loop, and what they share; nothing here knows a rule, a net or a data set by name."""
