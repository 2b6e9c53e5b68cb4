"""Seeds: a count, or a list of them."""

from collections import Counter
from collections.abc import Sequence

from bpfree.errors import InputError

_EXPECTED = "expected how many, such as 5, or which: 0,1,2 (only one of them: 7,)"


def seed_list(seeds: int | str | Sequence[int]) -> list[int]:
    """``5`` as 0 to 4, ``"3,7"`` as 3 and 7, ``"7,"`` as 7 alone.

    Raises:
        InputError: no seed, one given twice, no whole number.
    """
    if isinstance(seeds, str):
        parts = [part.strip() for part in seeds.split(",") if part.strip()]
        if not all(part.isdecimal() for part in parts) or not parts:
            raise InputError(f"seeds {seeds!r} are not valid: {_EXPECTED}")
        seeds = [int(part) for part in parts] if "," in seeds else int(parts[0])
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    if not isinstance(numbers, Sequence) or not all(isinstance(seed, int) for seed in numbers):
        raise InputError(f"seeds {seeds} are not valid: {_EXPECTED}")
    numbers = list(numbers)
    for repeated in sorted(seed for seed, count in Counter(numbers).items() if count > 1):
        raise InputError(f"seed {repeated} is given twice: a seed run twice is one run, not two")
    if not numbers or min(numbers) < 0:
        raise InputError(f"seeds are not valid: {_EXPECTED}")
    return numbers
