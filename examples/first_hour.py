"""Every rule with its defaults, as ``bpfree train --algo RULE`` runs it: accuracy and time, each in a fresh process.

    python examples/first_hour.py [RULE …]

Writes the table FIRST_HOUR.md beside this file, and ``bpfree/rules/first_hour.json``, which ``bpfree info`` reads.
Rules that are named are run anew and the other rows kept. One thread each, so that the processor's seconds do not
depend on how busy the other cores are. Data that bpfree does not bring along are looked for in $BPFREE_DATA_DIR, else
fetched. With BPFREE_QUICK=1: two rules for one epoch on few rows, and nothing is written.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import bpfree
from bpfree.rules import RULES

INCLUDED = ("mnist", "vowels", "peterson-barney")  # data that come with bpfree
QUICK = bool(os.environ.get("BPFREE_QUICK"))
TABLE = Path(__file__).with_name("FIRST_HOUR.md")
ROWS = Path(bpfree.__file__).parent / "rules" / "first_hour.json"
MACHINE = {"seed", "device", "threads", "compile", "resident_mb", "cache_mb", "checkpoint_every", "data_dir"}
MACHINE |= {"observe_every", "probe", "max_steps", "max_minutes"}  # as in the recipes
HEAD = """# The first hour: every rule with its defaults

`bpfree train --algo RULE` and nothing else, seed 0, one thread, made by `python examples/first_hour.py`. The papers'
settings are recipes (`bpfree list`); these are what a newcomer sees within about two minutes. Epochs are those of all
phases. Seconds are the processor's, for the whole command, import and test included: on an idle core the clock shows
about the same.

| rule | data | net | epochs | test | seconds |
|---|---|---|---|---|---|
"""
FETCHED = "\nFetched: not part of bpfree, downloaded the first time, or put into the data folder beforehand.\n"


def run(rule: str) -> dict:
    """One row of the table."""
    quick = ["--epochs", "1", "--subset", "2000"] if QUICK else []
    before = os.times()
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "--algo", rule, "--threads", "1", "--meter", "none", "--json", "--out", f"{folder}/run"]
        done = subprocess.run([sys.executable, "-m", "bpfree", *command, *quick], stdout=subprocess.PIPE, check=True)
    after, record = os.times(), json.loads(done.stdout)
    return {
        "data": record["data"]["name"],
        "net": record["config"]["net"],
        "epochs": record["result"]["epochs"],
        "metric": record["result"]["metric"],
        "test": record["result"]["test"],
        "cpu_s": round(sum(after[2:4]) - sum(before[2:4]), 1),  # user and system time of the child
        "offline": record["data"]["name"] in INCLUDED,
        "config": {key: value for key, value in record["config"].items() if key not in MACHINE},
    }


def table(rows: dict[str, dict]) -> str:
    lines = [
        f"| `{rule}` | {row['data']}{'' if row['offline'] else ' (fetched)'} | {row['net']} | {row['epochs']} | "
        f"{row['test']:.2%} | {row['cpu_s']:.0f} |"
        for rule, row in sorted(rows.items())
    ]
    return HEAD + "\n".join(lines) + "\n" + FETCHED


def main() -> None:
    rules = sys.argv[1:] or (["backprop", "mono-forward"] if QUICK else list(RULES.names()))
    rows: dict[str, dict] = {}
    for rule in rules:
        row = run(rule)
        if ROWS.exists() and not QUICK:  # read after the run, so that several processes can share the work
            rows = json.loads(ROWS.read_text(encoding="utf-8"))
        rows[rule] = row
        print(f"{rule}: {rows[rule]['test']:.2%}, {rows[rule]['cpu_s']} s of the processor", flush=True)
        if not QUICK:
            lines = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))
            ROWS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
            TABLE.write_text(table(rows), encoding="utf-8")
    if QUICK:
        print(table(rows))


main()
