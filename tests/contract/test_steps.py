"""The effect of one step: only on its owner, in flat memory, for batches of any size, without waiting for the host."""

from collections.abc import Hashable, Iterator

import torch
from small import fit, loop_of, make, ready, snapshot, tiny
from table import BATCHES, FLAT, META, OWN_GRADIENTS, Row, rows

from bpfree.data.sources import TensorSource
from bpfree.training.data import Data
from bpfree.training.loop import Loop
from bpfree.training.memory import LiveMemory
from bpfree.training.trainer import Batch, Local


def loop_for(row: Row, **values) -> Loop:
    return loop_of(make(row.algo, **{**row.tiny, **values}), tiny())


def names_of(loop: Loop, owner: Hashable) -> set[str]:
    mine = {id(p) for p in loop.trainer.owners()[owner]}
    return {name for name, p in loop.trainer.named_parameters() if id(p) in mine}


@rows()
def test_every_parameter_has_exactly_one_owner(row: Row):
    """Of those that are neither fixed, nor left untouched, nor solved in closed form."""
    owners = loop_for(row).trainer.owners()
    loop = loop_for(row)
    owned = sorted(name for key in owners for name in names_of(loop, key))
    left = {id(p) for p in loop.trainer.untouched()}
    assert owned == sorted(n for n, p in loop.trainer.named_parameters() if p.requires_grad and id(p) not in left)


@rows(OWN_GRADIENTS)
def test_backward_leaves_no_gradient_outside_the_yielded_owner(row: Row):
    loop, strangers = loop_for(row), set()

    def on_grads(owner: Hashable) -> None:
        held = {name for name, p in loop.trainer.named_parameters() if p.grad is not None}
        strangers.update((owner, name) for name in held - names_of(loop, owner))

    loop.trainer.on_grads = on_grads  # type: ignore[method-assign]
    loop.run()
    assert strangers == set()


@rows()
def test_a_step_changes_its_owner_and_no_other_parameter(row: Row):
    loop = loop_for(row)
    seen: list[tuple[Hashable, set[str]]] = []
    before = snapshot(loop.trainer)

    def on_step(owner: Hashable) -> None:
        changed = {name for name, p in loop.trainer.named_parameters() if not p.equal(before[name])}
        seen.append((owner, changed))
        before.update(snapshot(loop.trainer))

    loop.trainer.on_step = on_step  # type: ignore[method-assign]
    for phase in range(len(loop.phases)):
        loop.learn(ready(loop, phase))
    assert [changed - names_of(loop, owner) for owner, changed in seen] == [set()] * len(seen)
    assert all(changed for _, changed in seen)
    assert {owner for owner, _ in seen} == set(loop.trainer.owners())


@rows(OWN_GRADIENTS)
def test_gradients_are_forgotten_before_the_rule_goes_on(row: Row):
    loop = loop_for(row)
    original, leftovers = loop.trainer.local_losses, []

    def local_losses(batch: Batch) -> Iterator[Local]:
        for local in original(batch):
            yield local
            leftovers.extend(name for name, p in loop.trainer.named_parameters() if p.grad is not None)

    loop.trainer.local_losses = local_losses  # type: ignore[method-assign]
    loop.run()
    assert leftovers == []


@rows()
def test_no_gradient_outlives_a_batch(row: Row):
    loop = loop_for(row)
    for phase in range(len(loop.phases)):
        loop.learn(ready(loop, phase))
        assert [name for name, p in loop.trainer.named_parameters() if p.grad is not None] == []


@rows()
def test_frozen_blocks_never_change(row: Row):
    """In a phase, the blocks below its first one keep their parameters and buffers bit for bit."""
    loop = loop_for(row)
    for phase in range(len(loop.phases)):
        batch = ready(loop, phase)
        before = snapshot(loop.trainer)
        loop.learn(batch)
        after = snapshot(loop.trainer)
        below = [name for name in before if any(name.startswith(f"blocks.{k}.") for k in range(loop.trainer.first))]
        assert [name for name in below if not before[name].equal(after[name])] == []


def peak_bytes(row: Row, depth: int) -> int:
    """Live memory of a second step, when the optimizer's state is there already: the most of first and last phase."""
    values = {**row.tiny, "hidden": (64,) * depth, "batch_size": 256}
    loop = loop_of(make(row.algo, **values), tiny(256), device="meta", cache_mb=0)
    peaks = []
    for phase in (0, -1):
        batch = ready(loop, phase)
        loop.learn(batch)
        loop.cursor.steps += 1  # the first step of a run looks at the losses, and may wait for that
        with LiveMemory() as memory:
            loop.learn(batch)
        peaks.append(memory.peak)
    return max(peaks)


@rows(FLAT)
def test_live_memory_does_not_grow_with_depth(row: Row):
    """Four times the depth, at most 5 % more: what grows is a loss of a few bytes for every owner."""
    assert peak_bytes(row, 16) <= 1.05 * peak_bytes(row, 4)


@rows(META)
def test_steps_run_on_the_meta_device(row: Row):
    """No tensor is made on another device and nothing waits for a value."""
    loop = loop_of(make(row.algo, **row.tiny), tiny(), device="meta")
    for phase in range(len(loop.phases)):
        batch = ready(loop, phase)
        loop.learn(batch)
        loop.cursor.steps += 1  # the first step of a run looks at the losses, and may wait for that
        loop.learn(batch)


@rows()
def test_learns_from_batches_of_one(row: Row):
    loop = fit(row.algo, tiny(5), **{**row.tiny, "batch_size": 1})
    assert all(p.isfinite().all() for p in loop.trainer.parameters())


@rows(BATCHES)
def test_every_row_is_learned_once_an_epoch_with_a_ragged_last_batch(row: Row):
    """22 rows in batches of 8: the last batch has 6. Two epochs a phase, or the rule's own number."""
    loop = loop_for(row)
    learn, seen = loop.learn, []
    loop.learn = lambda batch: (seen.append(batch.index), learn(batch))[1]  # type: ignore[method-assign]
    loop.run()
    epochs = [torch.cat(seen[i : i + 3]) for i in range(0, len(seen), 3)]
    assert [sorted(rows.tolist()) for rows in epochs] == [list(range(22))] * sum(phase.epochs for phase in loop.phases)


@rows()
def test_training_never_reads_the_test_part(row: Row):
    class Untouchable(TensorSource):
        def batches(self, *args, **options):
            raise AssertionError("test data in training")

        def to(self, device, resident_mb):
            return self

    data = tiny()
    test = Untouchable(data.test.x, data.test.y)
    loop_of(make(row.algo, **row.tiny), Data(data.spec, data.train, data.val, test)).run()
