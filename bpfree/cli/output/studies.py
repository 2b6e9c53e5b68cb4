"""Closing tables of studies: reports with their verdicts, comparisons, searches of settings."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.cli.output.tables import energy_text, print_table, text, time_text
from bpfree.reports.migrations import migrated

SHOWN = ("test", "balanced_accuracy", "energy_j", "train_s", "live_bytes", "data_passes")  # columns on a terminal


def print_report(report: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Print faults, warnings, results and verdicts.

    Args:
        report: content of ``report.json``.
        files: files that were written; the path of the page among them is printed.
    """
    from bpfree.reports.tables import cells

    for fault in report["faults"]:
        print(f"fault: {fault['text']}")
    for line in report["warnings"]:
        print(f"warning: {line}")
    _print_verdicts(report, None)
    for budget in report["budgets"]:
        headers, rows = cells(report, budget, SHOWN)
        print()
        print_table(rows, budget["name"], headers)
        _print_verdicts(report, budget["name"])
    if report["blocked"]:
        print(f"\n{report['blocked']} claims cannot be made because of faults")
    print(f"\nreport: {next(path for path in files if path.suffix == '.html')}")


def _print_verdicts(report: Mapping[str, Any], budget: str | None) -> None:
    """Print the verdicts of a budget, or those of all (None); where many cannot conclude for one reason, one line."""
    by_reason: dict[str, list[str]] = {}
    for verdict in report["verdicts"]:
        if verdict["budget"] == budget:
            reason = verdict["text"].partition(", because ")[2] or verdict["text"]
            by_reason.setdefault(reason, []).append(verdict["text"])
    for reason, texts in by_reason.items():
        print(texts[0] if len(texts) == 1 else f"Cannot conclude on {len(texts)} differences, because {reason}")


def print_study(study: Mapping[str, Any], folder: Any) -> None:
    """Print the runs of a comparison by arm, then its report.

    Args:
        study: content of ``study.json``.
        folder: folder of the study.
    """
    rows = []
    for arm in study["arms"]:
        runs = [run for run in study["runs"] if run["arm"] == arm["name"]]
        states = ("finished", "failed", "stopped", "planned")
        counts = [f"{state} {n}" for state in states if (n := sum(run["status"] == state for run in runs))]
        trials = arm["search"]["trials"] if arm["search"] else "-"
        rows.append((arm["name"], arm["role"], ", ".join(counts), str(trials)))
    quick = " (quick: budget reached, not converged)" if study["quick"] else ""
    print_table(rows, f"{study['name']}{quick}", ("arm", "role", "runs", "trials"))
    written = Path(folder, "report.json")
    if written.exists():
        print_report(migrated(json.loads(written.read_text(encoding="utf-8"))), [written.with_suffix(".html")])


def print_search(search: Mapping[str, Any]) -> None:
    """Print the outcome of a search of settings."""
    best, cost = search["best"], search["cost"]
    rows = []
    if best:
        rows = [("best validation metric", f"{best['val']:.4g} (trial {best['number']})")]
        rows += [(name, text(value)) for name, value in best["params"].items()]
    total = {"total_j": cost["energy_j"], "method": cost["method"], "components": {}}
    rows += [
        ("trials", f"{cost['trials']} of {search['trials']}, {cost['pruned']} of them pruned"),
        ("training time", time_text(cost["train_s"])),
        ("energy of all trials", energy_text(total)),
        ("train with them", f"bpfree train --config {search['folder']}/best.yaml" if best else "-"),
        ("compare with them", as_arm(search["algo"], best["params"], search["given"]) if best else "-"),
    ]
    print_table(rows, f"{search['algo']} on {search['data']}: {search['status']}")


def as_arm(algo: str, params: Mapping[str, Any], fixed: Mapping[str, Any]) -> str:
    """The command that compares an arm of these settings.

    Args:
        algo: the rule.
        params: settings that the search chose.
        fixed: settings of the search itself, which hold for all arms.
    """
    from bpfree.studies.arms import SHARED

    of_the_arm = ",".join(f"{key}={value}" for key, value in params.items() if key not in SHARED)
    common = {**fixed, **{key: value for key, value in params.items() if key in SHARED}}
    flags = [f"--{key.replace('_', '-')}={_flag_value(value)}" for key, value in common.items()]
    return shlex.join(["bpfree", "compare", "--algos", algo + (f":{of_the_arm}" if of_the_arm else ""), *flags])


def _flag_value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else "none" if value is None else str(value)
