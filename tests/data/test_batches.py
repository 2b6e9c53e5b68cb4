"""Batches of a split: order, shards, resume, and streaming that equals residence."""

import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfree.data.augment import Augment
from bpfree.data.rows import ArrayRows, Rows, unit
from bpfree.data.sources import StreamSource, TensorSource
from bpfree.errors import InputError
from bpfree.training.data import pieces


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n, seed=0):
    return torch.randint(0, 256, (n, 2, 5, 6), dtype=torch.uint8, generator=rng(seed))


def stream(n, augment=Augment(shift=1, crop=2, flip=True)):  # noqa: B008
    rows = ArrayRows(images(n))
    return StreamSource(rows, torch.arange(n), unit(rows), augment)


def same(a, b):
    return torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.index, b.index) and a.span == b.span


sizes = st.integers(1, 40)
worlds = st.integers(1, 6)


@given(sizes, st.integers(1, 12))
def test_batches_visit_every_row_once_in_the_order_given(n, batch_size):
    source = TensorSource(torch.arange(float(n))[:, None], torch.arange(n))
    order = torch.randperm(n, generator=rng(n))
    batches = list(source.batches(batch_size, order=order))
    assert torch.cat([b.x[:, 0] for b in batches]).tolist() == order.tolist()
    assert torch.cat([b.y for b in batches]).tolist() == order.tolist()
    assert torch.cat([b.index for b in batches]).tolist() == order.tolist()


@given(sizes, st.integers(1, 12))
def test_the_ragged_last_batch_is_kept(n, batch_size):
    source = TensorSource(torch.zeros(n, 1))
    lengths = [len(b.x) for b in source.batches(batch_size)]
    assert lengths == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    assert source.steps(batch_size) == len(lengths)


@given(sizes, st.integers(1, 12), worlds)
def test_shards_together_are_the_global_batch(n, batch_size, world):
    """Padding aside, the ranks' rows in order of rank are the rows of one process."""
    source = TensorSource(torch.arange(float(n))[:, None])
    order = torch.randperm(n, generator=rng(n))
    whole = list(source.batches(batch_size, order=order))
    shards = [list(source.batches(batch_size, order=order, shard=(rank, world))) for rank in range(world)]
    for number, batch in enumerate(whole):
        parts = [shard[number] for shard in shards]
        assert torch.cat([part.index for part in parts if not part.padding]).tolist() == batch.index.tolist()


@given(sizes, st.integers(1, 12), worlds)
def test_every_rank_has_the_same_number_of_batches_and_no_empty_one(n, batch_size, world):
    shards = [list(pieces(n, batch_size, shard=(rank, world))) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    assert all(piece.rows >= 1 for shard in shards for piece in shard)


@given(sizes, st.integers(1, 12), worlds)
def test_all_ranks_but_the_last_ones_hold_equal_chunks(n, batch_size, world):
    """A chunk is ceil(rows / world) rows."""
    for rank in range(world):
        for piece in pieces(n, batch_size, shard=(rank, world)):
            chunk = -(-piece.total // world)
            left = piece.total - rank * chunk
            assert piece.rows == max(1, min(chunk, left))
            assert piece.padding == (left <= 0)


def test_a_rank_without_rows_gets_one_that_is_padding():
    (batch,) = TensorSource(torch.zeros(2, 3)).batches(2, shard=(2, 3))
    assert batch.x.shape == (1, 3)
    assert batch.padding is True
    assert batch.span == (1, 2)


@given(sizes, st.integers(1, 12), worlds)
@settings(max_examples=40)
def test_shards_are_augmented_as_one_process_would(n, batch_size, world):
    source = stream(n).to("cpu", 1)
    whole = list(source.batches(batch_size, rng=rng(5)))
    for rank in range(world):
        for batch, part in zip(whole, source.batches(batch_size, rng=rng(5), shard=(rank, world)), strict=True):
            first, total = part.span
            assert total == len(batch.x)
            assert torch.equal(part.x, batch.x[first : first + len(part.x)])


@pytest.mark.parametrize("resident_mb", [0, 1])
@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_starting_at_k_equals_skipping_k_batches(start, resident_mb):
    source, order = stream(31).to("cpu", resident_mb), torch.randperm(31, generator=rng(9))
    whole = list(source.batches(8, order=order, rng=rng(1)))
    rest = list(source.batches(8, order=order, rng=rng(1), start=start))
    assert len(rest) == 4 - start
    assert all(same(a, b) for a, b in zip(whole[start:], rest, strict=True))


def test_skipped_batches_are_not_read():
    class Counted(ArrayRows):
        read = 0

        def gather(self, index):
            Counted.read += len(index)
            return super().gather(index)

    rows = Counted(images(40))
    list(StreamSource(rows, None, unit(rows)).batches(8, start=3))
    assert Counted.read == 16


def test_exactly_one_number_is_drawn_from_the_generator():
    a, b = rng(), rng()
    list(stream(20).batches(3, rng=a))
    torch.randint(2**62, (), generator=b)
    assert torch.equal(a.get_state(), b.get_state())


def test_two_epochs_are_augmented_differently():
    source, generator = stream(20).to("cpu", 1), rng()
    first, second = (torch.cat([b.x for b in source.batches(20, rng=generator)]) for _ in range(2))
    assert not torch.equal(first, second)


def test_two_batches_of_an_epoch_are_augmented_differently():
    """Rows are all the same image, so only the draws can differ."""
    source = TensorSource(torch.rand(1, 1, 5, 5).expand(40, -1, -1, -1), augment=Augment(shift=2))
    first, second = source.batches(20, rng=rng())
    assert not torch.equal(first.x, second.x)


def test_without_a_generator_rows_are_as_they_are():
    source = stream(20).to("cpu", 1)
    assert torch.equal(next(source.batches(20)).x, images(20) / 255)


@given(sizes, st.integers(1, 12), st.integers(0, 3), worlds)
@settings(max_examples=25, deadline=None)
def test_streamed_equals_resident_bit_for_bit(n, batch_size, start, world):
    order = torch.randperm(n, generator=rng(n))
    args = {"order": order, "start": start, "shard": (0, world)}
    resident, streamed = stream(n).to("cpu", 1), stream(n).to("cpu", 0)
    assert isinstance(resident, TensorSource)
    assert isinstance(streamed, StreamSource)
    pairs = zip(
        resident.batches(batch_size, rng=rng(2), **args), streamed.batches(batch_size, rng=rng(2), **args), strict=True
    )
    assert all(same(a, b) for a, b in pairs)


def test_a_split_is_resident_up_to_the_budget_and_no_further():
    """1000 rows of 60 floats of 4 bytes are 240,000 bytes."""
    budget = 240_000 / 2**20
    assert isinstance(stream(1000).to("cpu", budget), TensorSource)
    assert isinstance(stream(1000).to("cpu", budget * 0.999), StreamSource)


def test_only_augmented_splits_are_not_fixed():
    assert not stream(4).fixed
    assert not stream(4).to("cpu", 1).fixed
    assert stream(4, Augment()).fixed
    assert stream(4, Augment()).to("cpu", 1).fixed


class Failing(Rows):
    """Rows of which number 10 cannot be read."""

    shape, dtype = (1,), torch.float32

    def __len__(self):
        return 40

    def gather(self, index):
        if (index == 10).any():
            raise InputError("row 10 is broken")
        return index[:, None].float()


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("bpfree-data")]


def test_an_error_in_a_thread_reaches_the_reader_after_the_good_batches():
    batches = StreamSource(Failing(), None, unit(Failing())).batches(4)
    assert [next(batches).x[:, 0].tolist() for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(InputError, match="row 10 is broken"):
        next(batches)


def test_no_thread_is_left_after_an_error():
    with pytest.raises(InputError):
        list(StreamSource(Failing(), None, unit(Failing())).batches(4))
    assert not threads()


def test_no_thread_is_left_when_the_reader_stops_early():
    batches = stream(40).batches(4)
    next(batches)
    assert threads()
    batches.close()
    assert not threads()


def test_no_thread_is_left_when_the_reader_forgets_the_iterator():
    for _ in stream(40).batches(4):
        break
    assert not threads()


def test_reading_ahead_is_bounded():
    class Counted(ArrayRows):
        read = 0

        def gather(self, index):
            Counted.read += 1
            return super().gather(index)

    rows = Counted(images(400))
    batches = StreamSource(rows, None, unit(rows)).batches(1)
    next(batches)
    time.sleep(0.2)
    assert Counted.read <= 2 * rows.workers + 1
    batches.close()


def test_batches_can_be_made_on_the_meta_device():
    source = stream(10).to("meta", 1)
    assert [b.x.device.type for b in source.batches(4, rng=rng())] == ["meta"] * 3


def test_a_split_takes_the_default_floating_type():
    torch.set_default_dtype(torch.float64)
    try:
        assert next(stream(4).to("cpu", 1).batches(4)).x.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
