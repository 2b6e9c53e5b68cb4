"""Learning rules on graphs: the ForwardGNN family."""
