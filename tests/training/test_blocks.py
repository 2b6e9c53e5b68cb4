"""Blocks that users bring: joined, told about, mended or refused in a line, under every rule alike."""

import itertools

import pytest
import torch
from torch import nn

from bpfree.errors import InputError
from bpfree.rules import RULES
from bpfree.training.blocks import as_blocks, takes_one_row

LOCAL = ("mono-forward", "forward-forward", "cafo", "channel-ff")
PLAIN = ("backprop", "local-loss", "dfa", "fa", "gradient-noise")


def rows(n=65):
    x = torch.randn(n, 12, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(n) % 3


def fitted(algo, blocks, n=65, batch_size=9, **options):
    rule = RULES.load(algo)(blocks, epochs=1, batch_size=batch_size)
    rule.fit(rows(n), device="cpu", **options)
    return rule


def seeded(*sizes):
    torch.manual_seed(1)
    return [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]


def kinds(blocks):
    return [[type(part).__name__ for part in (b if isinstance(b, nn.Sequential) else [b])] for b in blocks]


def test_layers_without_parameters_join_their_neighbours():
    blocks, notes = as_blocks([nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)])
    assert kinds(blocks) == [["Flatten", "Linear", "ReLU", "Dropout"], ["Linear"]]
    assert notes == [
        "layers with nothing to train of their own joined their neighbours: blocks 0 = Flatten, Linear, ReLU, Dropout; "
        "1 = Linear"
    ]


def test_the_layers_of_a_sequential_become_blocks_with_their_normalisation():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 3))
    blocks, _ = as_blocks(net)
    assert kinds(blocks) == [["Conv2d", "BatchNorm2d", "ReLU", "Flatten"], ["Linear"]]


def test_a_list_of_blocks_with_parameters_stays_as_it_is():
    given = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.LayerNorm(4), nn.Linear(4, 2)]
    blocks, notes = as_blocks(given)
    assert list(blocks) == given
    assert notes == []


@pytest.mark.parametrize("algo", [*LOCAL, *PLAIN])
def test_layers_of_their_own_train_as_the_blocks_that_they_make(algo):
    first, second, last = seeded(12, 10, 8, 3)
    layers = [first, nn.ReLU(), second, nn.ReLU(), last]
    one = fitted(algo, layers)
    first, second, last = seeded(12, 10, 8, 3)
    two = fitted(algo, [nn.Sequential(first, nn.ReLU()), nn.Sequential(second, nn.ReLU()), last])
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not any("joined" in note for note in two.notes)


@pytest.mark.parametrize(
    ("blocks", "line"),
    [
        (nn.Linear(12, 3), "blocks is a Linear: give a list of modules"),
        ([torch.relu, nn.Linear(12, 3)], "block 0 is a builtin_function_or_method: give modules"),
        ([nn.ReLU, nn.Linear(12, 3)], "block 0 is a ReLU: give modules"),
        ([], "blocks is empty"),
        ([nn.Flatten(), nn.ReLU()], "nothing can be trained|puts out 12 numbers"),
        ([nn.Linear(12, 12).bfloat16(), nn.Linear(12, 3)], "block 0 has parameters of type bfloat16: convert it"),
        ([nn.Linear(12, 12).double(), nn.Linear(12, 3)], "block 0 has parameters of type float64.*precision=fp64"),
        ([nn.Linear(12, 12, dtype=torch.complex64)], "block 0 has complex parameters"),
        ([torch.jit.script(nn.Linear(12, 3))], "block 0 is a compiled script"),
        ([nn.GRU(12, 5), nn.Linear(5, 3)], "block 0 puts out a tuple: a block gives one tensor"),
        ([nn.Linear(12, 5), nn.Linear(4, 3)], "block 1 cannot take examples of shape"),
    ],
)
@pytest.mark.parametrize("algo", ["backprop", "dfa"])
def test_other_blocks_are_refused_in_a_line(algo, blocks, line):
    with pytest.raises(InputError, match=line) as refusal:
        fitted(algo, blocks)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("algo", ["dfa", "gradient-noise", "counter-current"])
def test_a_last_block_without_a_score_a_class_is_refused(algo):
    with pytest.raises(InputError, match="the last block puts out 4 numbers an example: expected 3"):
        fitted(algo, [nn.Sequential(nn.Linear(12, 9), nn.ReLU()), nn.Linear(9, 4)])


@pytest.mark.parametrize("algo", ["mono-forward", "local-loss", "dfa"])
def test_a_parameter_of_two_owners_is_refused_by_its_name(algo):
    tied = nn.Linear(12, 12)
    blocks = [nn.Sequential(tied, nn.ReLU()), nn.Sequential(tied, nn.ReLU()), nn.Linear(12, 3)]
    with pytest.raises(InputError, match=r"blocks\.0\.0\.weight is in owners 0 and 1, and both would step it"):
        fitted(algo, blocks)


def test_backprop_trains_a_parameter_that_is_used_twice_once():
    tied = nn.Linear(12, 12)
    before = tied.weight.detach().clone()
    fitted("backprop", [nn.Sequential(tied, nn.ReLU()), nn.Sequential(tied, nn.ReLU()), nn.Linear(12, 3)])
    assert not torch.equal(before, tied.weight)


@pytest.mark.parametrize("algo", [*LOCAL, *PLAIN])
def test_blocks_that_change_their_input_in_place_train_as_those_that_do_not(algo):
    def blocks(inplace):
        first, second, last = seeded(12, 12, 12, 3)
        relu = [nn.ReLU(inplace=inplace) for _ in range(3)]
        return [nn.Sequential(first, relu[0]), nn.Sequential(relu[1], second, relu[2]), last]

    changing, copying = fitted(algo, blocks(True)), fitted(algo, blocks(False))
    for a, b in zip(changing.parameters(), copying.parameters(), strict=True):
        assert torch.equal(a, b)
    assert "block 1 changed its input in place" in " ".join(changing.notes)


@pytest.mark.parametrize("algo", [*LOCAL, *PLAIN])
def test_a_frozen_block_stays_as_it_is_and_the_others_train(algo):
    first, second, last = seeded(12, 12, 12, 3)
    frozen, trained = nn.Sequential(first, nn.ReLU()).requires_grad_(False), nn.Sequential(second, nn.ReLU())
    before = first.weight.clone(), second.weight.detach().clone()
    rule = fitted(algo, [frozen, trained, last])
    assert torch.equal(first.weight, before[0])
    assert algo == "cafo" or not torch.equal(second.weight, before[1])
    assert rule.notes[0] == "frozen (requires_grad=False), left as they are: blocks 0"


@pytest.mark.parametrize("algo", ["cafo", "random-features"])
def test_rules_that_leave_the_blocks_alone_do_not_freeze_the_users_modules(algo):
    first, last = seeded(12, 12, 3)
    before = first.weight.detach().clone()
    fitted(algo, [nn.Sequential(first, nn.ReLU()), last])
    assert torch.equal(first.weight, before)
    assert first.weight.requires_grad


def test_a_softmax_before_the_cross_entropy_is_told():
    blocks = [nn.Linear(12, 12), nn.Sequential(nn.Linear(12, 3), nn.Softmax(1))]
    (note,) = fitted("backprop", blocks).notes
    assert note.startswith("the last block ends in Softmax")
    assert fitted("backprop", [nn.Sequential(nn.Linear(12, 3), nn.LogSoftmax(1))]).notes == []  # its softmax is itself


class TestLastBatch:
    def net(self):
        first, last = seeded(12, 12, 3)
        return [nn.Sequential(first, nn.BatchNorm1d(12), nn.ReLU()), last]

    @pytest.mark.parametrize("algo", ["mono-forward", "backprop", "dfa", "local-loss"])
    def test_one_row_that_cannot_be_normalised_is_left_out_and_told(self, algo):
        rule = fitted(algo, self.net(), n=66, batch_size=9)  # 55 rows are trained on: 6 batches and one row
        assert rule.notes == ["every epoch leaves out 1 of 55 rows, each time others: one row cannot be normalised"]

    def test_all_rows_are_kept_where_one_can_be_trained_on(self):
        assert fitted("backprop", seeded(12, 12, 3), n=66, batch_size=9).notes == []
        blocks = nn.ModuleList([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)])
        assert takes_one_row(blocks, (1, 8, 8))  # 36 values a channel
        assert not takes_one_row(blocks, (1, 3, 3))  # one value a channel
        assert blocks[1].num_batches_tracked == 0

    def test_a_batch_size_of_one_is_refused_in_a_line(self):
        with pytest.raises(InputError, match="batch normalisation cannot train on a batch of one row"):
            fitted("backprop", self.net(), batch_size=1)

    def test_drop_leaves_out_every_batch_that_is_not_full(self):
        seen = []

        class Seen:
            def on_batch(self, loop):
                seen.append(loop.cursor.batch)

        rule = RULES.load("backprop")(seeded(12, 3), epochs=2, batch_size=9, last_batch="drop")
        rule.fit(rows(70), device="cpu", callbacks=[Seen()])  # 58 rows: 6 full batches
        assert seen == [1, 2, 3, 4, 5, 6] * 2
        assert rule.notes == ["every epoch leaves out 4 of 58 rows, each time others: last_batch = drop"]
