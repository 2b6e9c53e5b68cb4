"""Seeded randomness by purpose."""

import subprocess
import sys

import torch

from bpfree.training.random_streams import Streams, derive, global_scope

CPU = torch.device("cpu")


def draw(generator: torch.Generator) -> list[float]:
    return torch.rand(4, generator=generator).tolist()


def test_a_purpose_gives_the_same_numbers_for_the_same_seed():
    assert draw(Streams(3, CPU)["noise"]) == draw(Streams(3, CPU)["noise"])


def test_purposes_and_seeds_differ():
    drawn = [draw(Streams(seed, CPU)[purpose]) for seed in (3, 4) for purpose in ("noise", "negatives")]
    assert len({tuple(numbers) for numbers in drawn}) == 4


def test_one_purpose_does_not_shift_another():
    plain, disturbed = Streams(3, CPU), Streams(3, CPU)
    draw(disturbed["noise"])
    assert draw(plain["negatives"]) == draw(disturbed["negatives"])


def test_a_stream_goes_on():
    streams = Streams(3, CPU)
    assert draw(streams["noise"]) != draw(streams["noise"])


def test_fresh_streams_depend_on_the_epoch_alone():
    streams = Streams(3, CPU)
    first = draw(streams.fresh("order", 7))
    assert draw(streams.fresh("order", 7)) == first
    assert draw(streams.fresh("order", 8)) != first


def test_streams_go_on_from_their_state():
    streams, again = Streams(3, CPU), Streams(3, CPU)
    draw(streams["noise"])
    again.load_state_dict(streams.state_dict())
    assert draw(again["noise"]) == draw(streams["noise"])


def test_the_global_state_is_saved_too():
    streams = Streams(3, CPU)
    state = streams.state_dict()
    expected = torch.rand(4)
    streams.load_state_dict(state)
    assert torch.rand(4).equal(expected)


def test_a_global_scope_leaves_the_outside_untouched():
    before = torch.get_rng_state()
    with global_scope(1, CPU):
        torch.rand(4)
    assert torch.get_rng_state().equal(before)


def test_a_global_scope_is_seeded():
    drawn = []
    for _ in range(2):
        with global_scope(1, CPU):
            drawn.append(torch.rand(4).tolist())
    assert drawn[0] == drawn[1]


def test_derived_seeds_are_equal_in_another_process():
    """Python's own hash is salted by process; this one must not be."""
    script = "from bpfree.training.random_streams import derive; print(derive(5, 'order', 2))"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive(5, "order", 2)


def test_derived_seeds_fit_a_torch_generator():
    assert all(0 <= derive(seed, "x") < 2**63 for seed in range(50))
