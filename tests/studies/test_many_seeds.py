"""Twenty thousand seeds: the work for each does not grow with their number. Work is counted, not timed."""

from typing import Any

import pytest
from small_study import InProcess

from bpfree import InputError
from bpfree.config.seeds import seed_list
from bpfree.studies import ledger as ledgers
from bpfree.studies.arms import build_arms
from bpfree.studies.ledger import Ledger
from bpfree.studies.options import CompareOptions
from bpfree.studies.plan import definition, new_plan
from bpfree.studies.turns import Turns

MF = "mono-forward"
COMPARED = 0


class Counted(int):
    """A number that counts how often it is compared."""

    def __eq__(self, other: object) -> bool:
        global COMPARED
        COMPARED += 1
        return int(self) == other

    __hash__ = int.__hash__


def comparisons_of(seeds: int) -> int:
    global COMPARED
    COMPARED = 0
    assert seed_list([Counted(k) for k in range(seeds)]) == list(range(seeds))
    return COMPARED


def test_repeated_seeds_are_looked_for_in_one_pass():
    once, tenfold = comparisons_of(200), comparisons_of(2000)
    assert tenfold <= 11 * once
    with pytest.raises(InputError, match="seed 7 is given twice"):
        seed_list([*range(2000), 7])


def ledger_of(seeds: int, data: str, folder: Any) -> Ledger:
    """The ledger of a new study of three arms."""
    common = {"hidden": (8,), "epochs": 1}
    built, _, notes = build_arms([MF], data, None, common, controls=[])
    options = CompareOptions()
    named = {"algos": [MF], "data": data, "seeds": seed_list(seeds), "controls": [], "settings": common}
    plan = new_plan("study", options, definition(options, **named), built, notes)
    folder.mkdir()
    return Ledger(folder, plan, built, lambda line: None)


def test_large_study_is_written_a_thousand_times_and_a_small_one_after_every_run(data, tmp_path, monkeypatch):
    written: list[int] = []
    monkeypatch.setattr(ledgers.study, "write", lambda plan, folder: written.append(1) or plan)
    for seeds, least, most in ((10, 120, 120), (1000, 1500, 2000)):
        written.clear()
        ledger = ledger_of(seeds, data, tmp_path / str(seeds))
        assert len(ledger.plan["runs"]) == 6 * seeds
        for run in ledger.plan["runs"]:
            ledger.set_status(run, "running")
            ledger.set_status(run, "failed", "a test")
        assert least <= len(written) <= most
        assert {run["status"] for run in ledger.plan["runs"]} == {"failed"}


def test_all_arms_of_a_seed_stay_with_one_worker(data, tmp_path, monkeypatch):
    ledger = ledger_of(7, data, tmp_path / "study")
    made: list[tuple[int, int]] = []
    turns = Turns(ledger, {}, [InProcess(), InProcess(), InProcess()], "none", None)
    monkeypatch.setattr(turns, "_make_one", lambda run, worker: made.append((run["seed"], id(worker))))
    turns._make(ledger.plan["runs"])
    assert len(made) == 6 * 7
    places = [{worker for seed, worker in made if seed == wanted} for wanted in range(7)]
    assert [len(workers) for workers in places] == [1] * 7
    assert len(set.union(*places)) == 3


def test_runs_of_a_seed_and_budget_are_at_hand(data, tmp_path):
    ledger = ledger_of(3, data, tmp_path / "study")
    for run in ledger.plan["runs"]:
        same = [r["order"] for r in ledger.plan["runs"] if (r["seed"], r["budget"]) == (run["seed"], run["budget"])]
        assert [r["order"] for r in ledger.beside(run)] == same
        assert len(same) == 3
