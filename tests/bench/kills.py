"""Twenty SIGKILLs at random moments for every row of the contract table, each followed by a resume.

Target: every row ends with the model, the test predictions and the history of an unbroken run.

    python tests/bench/kills.py [--json] [--kills 20] [--seed 1] [ROW …]
"""

import argparse
import json
import sys
import tempfile
import zlib
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "contract")]


def row_of(name: str, kills: int, seed: int) -> dict:
    """One row: where the kills struck, and what differs from an unbroken run."""
    import sigkill
    from table import ROWS

    row = ROWS[name]
    one_by_one = row.values.get("schedule") == "sequential"  # three phases or more
    values = {**row.tiny, "epochs": 9 if one_by_one else 26}  # long enough for all kills
    with tempfile.TemporaryDirectory() as folder:
        sigkill.live(Path(folder) / "unbroken", row.algo, values)
        report = sigkill.survive(Path(folder) / "killed", row.algo, values, kills, seed + zlib.crc32(name.encode()))
        expected = sigkill.outcome(Path(folder) / "unbroken")
    differs = [key for key in expected if report.outcome[key] != expected[key]]
    return {"row": name, "kills": dict(report.kills), "differs": differs}


def main() -> int:
    from table import ROWS

    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    for name in given.rows:
        found.append(row_of(name, given.kills, given.seed))
        if not given.json:
            struck = ", ".join(f"{count} {kind}" for kind, count in found[-1]["kills"].items())
            verdict = "DIFFERS: " + ", ".join(found[-1]["differs"]) if found[-1]["differs"] else "equal"
            print(f"{name:40} {verdict:10} {struck}", flush=True)
    if given.json:
        print(json.dumps(found))
    return int(any(row["differs"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
