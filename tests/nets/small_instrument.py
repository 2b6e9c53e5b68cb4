"""A small instrument in a process of its own: |M x| for a fixed matrix, one line of JSON in, one line out.

    python small_instrument.py OUTPUTS [FAULT [AT [FLAG]]]

With a fault, the AT-th answer is wrong; with the file FLAG, only in the first process that comes so far.
"""

import json
import math
import sys
import time
from pathlib import Path


def answer(x, outputs):
    return [[abs(sum(math.cos(3 * m + 2 * n) * v for n, v in enumerate(row))) for m in range(outputs)] for row in x]


def main() -> None:
    outputs = int(sys.argv[1])
    fault, at, flag = sys.argv[2:] + ["", "1", ""][len(sys.argv) - 2 :]
    for number, line in enumerate(sys.stdin, 1):
        y = answer(json.loads(line)["x"], outputs)
        if fault and number == int(at) and not (flag and Path(flag).exists()):
            if flag:
                Path(flag).touch()
            if fault == "dies":
                sys.exit(1)
            if fault == "sleeps":
                time.sleep(60)
            y = {
                "short": [row[:-1] for row in y],
                "nan": [[math.nan for _ in row] for row in y],
                "constant": [[1.0 for _ in row] for row in y],
                "words": "no numbers",
            }[fault]
        print(json.dumps({"y": y}), flush=True)


if __name__ == "__main__":
    main()
