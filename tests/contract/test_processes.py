"""Two processes that share every batch do what one does: in float64, to 1e-10."""

from pathlib import Path

import forked
import pytest
import torch
from ranks import fitted, rank_of, separable
from small import snapshot
from table import ROWS, SEPARATE

from bpfree import rules

# 11 rows in batches of 4: the last 3 are shared out 2 and 1. 9 rows: the last batch has 1, fewer than processes.
SIZES = {"a ragged last batch": 11, "a last batch smaller than the world": 9}


@pytest.mark.parametrize("case", SIZES)
def test_two_processes_equal_one(case: str, tmp_path: Path):
    n = SIZES[case]
    ranks = [forked.context().Process(target=rank_of, args=(r, 2, tmp_path, n)) for r in range(2)]
    for rank in ranks:
        rank.start()
    alone = {name: snapshot(fitted(row, n).trainer) for name, row in separable().items()}
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f"rank{r}.pt", weights_only=True) for r in range(2))

    def apart(a: dict, b: dict) -> dict[str, float]:
        return {name: max((a[name][key] - b[name][key]).abs().max().item() for key in a[name]) for name in a}

    assert {name: gap for name, gap in apart(first, second).items() if gap > 0} == {}
    assert {name: gap for name, gap in apart(first, alone).items() if gap > 1e-10} == {}


def test_what_a_rule_declares_is_what_its_rows_show():
    """Only a rule that is no mean over samples has rows that say so, batch norm and graphs apart."""
    opted: dict[str, set[str]] = {row.algo: set() for row in ROWS.values()}
    for row in ROWS.values():
        opted[row.algo] |= {row.but[SEPARATE]} if SEPARATE in row.but else set()
    for algo, reasons in opted.items():
        of_the_rule = {why for why in reasons if not why.startswith(("batch normalisation", "a graph"))}
        if rules.rule(algo).batch_separable:
            assert not of_the_rule, algo
        else:
            assert reasons, algo
