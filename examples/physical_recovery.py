"""A sudden change of the box half-way: who goes on, who falls, who recovers?

    python examples/physical_recovery.py [seeds] [share of the transmission matrix that is new]

Vowels through simulated optics without a bypass, so that everything passes the box. Half-way through its training, T
becomes sqrt(1 - p) T + sqrt(p) G. Physical Forward-Forward and direct feedback need no model of the box; in-silico
training has one in the place of the box, and physics-aware training takes its gradients from one, both fitted before
the change. Test accuracy after every epoch, as mean and standard deviation over seeds: physical_recovery.png.
"""
