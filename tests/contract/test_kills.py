"""Killed twenty times with SIGKILL at random moments, a run ends as if it never had been."""

import json
from pathlib import Path

import sigkill
from table import ROWS

VALUES = {**ROWS["mono-forward, sequential"].tiny, "epochs": 8}  # three phases of 24 steps
KILLS = 20


def test_twenty_kills_change_nothing(tmp_path: Path):
    """The same model byte for byte, the same test predictions, the same history."""
    sigkill.live(tmp_path / "unbroken", "mono-forward", VALUES)
    report = sigkill.survive(tmp_path / "killed", "mono-forward", VALUES, KILLS, seed=1)
    assert report.outcome == sigkill.outcome(tmp_path / "unbroken")
    assert report.kills.total() == KILLS
    assert {"between phases", "in a checkpoint"} <= set(report.kills)
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert record["time"]["wall_s"] >= sum(window["seconds"] for window in record["energy"].values())
