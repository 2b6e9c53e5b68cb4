"""Energy that a device can have drawn between two reads of its counter: a larger step is a fault of the counter."""

MARGIN = 1.5  # of the highest power: short peaks go above a limit, no hardware goes half as far again


def largest_j(highest_w: float, seconds: float, tick_s: float) -> float:
    """Largest step in J that a counter can make between two reads, with the tick that may fall in between.

    Args:
        highest_w: highest power that the device draws, in W.
        seconds: time from before the first read to after the second.
        tick_s: time between two changes of the counter.

    >>> largest_j(200.0, 1.0, 0.1)
    330.0
    """
    return MARGIN * highest_w * (seconds + tick_s)
