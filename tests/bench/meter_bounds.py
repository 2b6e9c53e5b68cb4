"""Error bounds of the meter in simulation. Target: no window outside its bound, for any counter and shape of power.

    python tests/bench/meter_bounds.py [--windows 200] [--seed 1] [--json]

For each counter (RAPL: ticks of 1 ms; NVML: 98.3 ms) and each of five shapes of power between 60 and 350 W it meters
windows whose energy is known exactly (``tests/energy/simulated_power.py``). The table gives the windows outside of the
stated bound (tick x highest power / joules) and the largest error as a share of it; beside them the same for a bound
that takes power to be constant (tick / window), which does not hold. Exits 1 when a window is outside of the first.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "energy")]


def main(
    count: Annotated[int, typer.Option("--windows", min=1)] = 200,
    seed: int = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    from simulated_power import SHAPES, SOURCES, windows

    rows = []
    for counter in SOURCES:
        for shape in SHAPES:
            made = list(windows(counter, shape, count, seed))
            row = {"counter": counter, "shape": shape, "windows": count}
            for name, shares in (
                ("stated", [window.share for window in made]),
                ("constant power", [window.constant_share for window in made]),
            ):
                row[name] = {"outside": sum(share > 1 for share in shares), "largest_share": max(shares)}
            rows.append(row)
    if as_json:
        print(json.dumps({"seed": seed, "rows": rows}))
    else:
        print(f"{'counter':8} {'shape':10} {'windows':>7}   {'stated bound':>24}   {'bound of constant power':>24}")
        for row in rows:
            cells = [
                f"{row[k]['outside']:4} out, {row[k]['largest_share']:7.2f} x" for k in ("stated", "constant power")
            ]
            print(f"{row['counter']:8} {row['shape']:10} {row['windows']:7}   {cells[0]:>24}   {cells[1]:>24}")
    raise typer.Exit(int(any(row["stated"]["outside"] for row in rows)))


if __name__ == "__main__":
    typer.run(main)
