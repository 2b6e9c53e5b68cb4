"""Labels: the origin of a joule, best first. A sum inherits the worst label in it."""

from collections.abc import Iterable

COUNTER, SAMPLED, MODELLED, CONSTANT, UNAVAILABLE = METHODS = (
    "measured:counter",  # a cumulative hardware counter, difference of two reads
    "measured:sampled",  # power readings, integrated
    "modelled",  # load x coefficient
    "constant",  # fixed watts x time
    "unavailable",  # null, with the reason
)


class EnergyError(Exception):
    """A meter, an energy or a record is wrong; the message is one plain line that says what would be right."""


def worst(methods: Iterable[str]) -> str:
    """Worst of some labels; ``unavailable`` where there is none.

    >>> worst(["measured:counter", "constant", "modelled"])
    'constant'
    """
    return max(methods, key=METHODS.index, default=UNAVAILABLE)


def is_measured(method: str) -> bool:
    """True for the labels that may stand behind an energy claim."""
    return method in (COUNTER, SAMPLED)


def show(energy_j: float | None, method: str) -> str:
    """Text of one energy: estimates get two digits and a mark, measurements four and their label.

    Args:
        energy_j: energy in J; None: not known.
        method: its label.

    >>> show(1234.5, "constant"), show(1234.5, "measured:counter"), show(None, "unavailable")
    ('≈ 1,200 J (est.)', '1,234 J (measured:counter)', 'unavailable')
    """
    if energy_j is None:
        return UNAVAILABLE
    if is_measured(method):
        return f"{_rounded(energy_j, 4)} J ({method})"
    return f"≈ {_rounded(energy_j, 2)} J (est.)"


def _rounded(value: float, digits: int) -> str:
    value = float(f"{value:.{digits}g}")
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
