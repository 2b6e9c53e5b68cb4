"""Notes of data and rule: logged once when training begins, and kept in the record."""

import dataclasses
import logging

import torch

import bpfree
from bpfree.cli.commands import application
from bpfree.cli.output import info
from bpfree.config.notes import tell
from bpfree.rules.mono_forward import MonoForward

DECIDED = {"epochs": 1, "batch_size": 24, "keep": "best", "hidden": (4,)}  # so that the few rows change nothing


class Noting(MonoForward):
    def setup(self):
        super().setup()
        self.notes.append("blocks 0 and 1 are one block")


def data():
    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    whole = bpfree.data.as_data((x, torch.arange(24) % 2))
    return dataclasses.replace(whole, notes=("2 files were left out",))


def test_notes_are_logged_once_in_order_and_survive_a_move_to_a_device(caplog):
    with caplog.at_level(logging.WARNING, "bpfree"):
        Noting(**DECIDED).fit(data(), device="cpu")
    ours = [record.getMessage() for record in caplog.records if record.name == "bpfree"]
    assert ours[-2:] == ["2 files were left out", "blocks 0 and 1 are one block"]
    assert data().to("cpu", 100).notes == ("2 files were left out",)


def test_notes_stand_in_the_record(tmp_path):
    record = bpfree.train(Noting, data(), out=tmp_path / "run", device="cpu", meter="none", **DECIDED)
    assert record["extensions"]["notes"] == {
        "data": ["2 files were left out"],
        "net": ["blocks 0 and 1 are one block"],
    }


def test_the_command_line_prints_a_note_a_line(capsys, monkeypatch):
    monkeypatch.setattr(info, "print_names", lambda as_json: tell("100 % of it was read"))
    assert application.run(["list"]) == 0
    assert capsys.readouterr().err == "note: 100 % of it was read\n"


def test_a_command_prints_what_its_runs_share_once(capsys, monkeypatch):
    monkeypatch.setattr(info, "print_names", lambda as_json: [tell(line) for line in ("a", "b", "a")])
    assert application.run(["list"]) == 0
    assert capsys.readouterr().err == "note: a\nnote: b\n"
