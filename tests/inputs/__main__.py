"""``python -m tests.inputs [WORD]``: the table of all inputs, or of those with WORD in name or door; 1: a mismatch."""

import sys
import tempfile
from pathlib import Path

from tests.inputs.outcomes import all_cases, outcome


def main() -> int:
    """Print a line for each case: right or wrong, door, input, expected, got."""
    words = " ".join(sys.argv[1:])
    wrong = total = 0
    for case in all_cases():
        if words not in f"{case.door} {case.name}":
            continue
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            result = outcome(case, Path(folder))
        total, wrong = total + 1, wrong + (not result.right)
        mark = "right" if result.right else "WRONG"
        print(f"{mark} | {case.door} | {case.name} | {result.expected[:120]} | {result.got[:160]}", flush=True)
    print(f"{total} inputs, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
