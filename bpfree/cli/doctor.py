"""``bpfree doctor``: print devices, energy meters, folders and versions of this machine, and why one is missing."""

import json
from typing import Any

from bpfree.cli.output.tables import print_table


def show(machine: dict[str, Any], as_json: bool) -> None:
    """Print what `bpfree.runs.doctor.examine` returned, as tables or as JSON."""
    if as_json:
        print(json.dumps(machine, indent=1))
        return
    print_table(machine["devices"].items(), "devices")
    rows = []
    for name, part in machine["meters"]["components"].items():
        rows.append((name, part["method"], part["source"] or part["reason"]))
        rows += [("", "not better because", reason) for reason in part["refused"]]
    rows += [(name, "none", reason) for name, reason in machine["meters"]["notes"].items()]
    print_table(rows, "energy meters")
    print_table(machine["folders"].items(), "folders")
    print_table(machine["versions"].items(), "versions")
