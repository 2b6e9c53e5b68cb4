"""Every rule learns real digits, and a seed decides everything."""

import pytest
from small import digits, fit, loop_of, make, snapshot, tiny, weights_hash
from table import ROWS, Row, rows

from bpfree import rules


@rows()
def test_reaches_its_accuracy_while_every_owner_descends_its_own_loss(row: Row):
    loop = fit(row.algo, digits(), **row.values)
    losses: dict[str, list[float]] = {}
    for entry in loop.history:
        for owner, loss in entry["loss"].items():
            losses.setdefault(owner, []).append(loss)
    assert {owner for owner, seen in losses.items() if not seen[-1] < seen[0]} == set()
    assert loop.data.test is not None
    assert loop.evaluate(loop.data.test) >= row.reach


@rows()
def test_same_seed_gives_the_same_weights(row: Row):
    first, second = (fit(row.algo, tiny(), {"seed": 5}, **row.tiny) for _ in range(2))
    assert weights_hash(first.trainer) == weights_hash(second.trainer)


@rows()
def test_another_seed_gives_other_weights(row: Row):
    first, second = (fit(row.algo, tiny(), {"seed": seed}, **row.tiny) for seed in (5, 6))
    mine, other = dict(first.trainer.named_parameters()), dict(second.trainer.named_parameters())
    untouched = {id(p) for p in first.trainer.untouched()}
    learns = {name for name, p in mine.items() if p.requires_grad and id(p) not in untouched}
    drawn = [name for name, p in mine.items() if name in learns or p.min() < p.max()]  # not a fixed scale of 1
    assert [name for name in drawn if mine[name].equal(other[name])] == []


@pytest.mark.parametrize("algo", rules.RULES.builtin)
def test_every_rule_has_a_row(algo: str):
    assert algo in {row.algo for row in ROWS.values()}


@rows()
def test_no_parameter_is_dead(row: Row):
    """Every parameter that is trained or solved moves, as the counts in a record promise; no other one does."""
    loop = loop_of(make(row.algo, **row.tiny), tiny())
    before, trainer = snapshot(loop.trainer), loop.trainer
    solved, untouched = ({id(p) for p in part} for part in (trainer.solved(), trainer.untouched()))
    loop.run()
    moved = {name for name, p in trainer.named_parameters() if not p.equal(before[name])}
    learns = {id(p) for p in trainer.parameters() if p.requires_grad} - untouched | solved
    assert moved == {name for name, p in trainer.named_parameters() if id(p) in learns}
