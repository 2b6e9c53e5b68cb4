"""Nets as users write them: what the blocks become, or why they are refused."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpfree.rules import RULES
from tests.inputs.case import Case


class _Recurrent(nn.Module):
    """An LSTM that puts out its states too, as torch's own does."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 5, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.lstm(x[:, None])


def _shared() -> list[nn.Module]:
    layer = nn.Linear(6, 6)
    return [nn.Sequential(layer, nn.ReLU()), nn.Sequential(layer, nn.ReLU()), nn.Linear(6, 3)]


def _fitted(algo: str, net: Any, rows: int = 36) -> Any:
    rule = RULES.load(algo)(net, epochs=1, batch_size=9)
    x = torch.randn(rows, 6, generator=torch.Generator().manual_seed(0))
    rule.fit((x, torch.arange(rows) % 3), device="cpu")
    return rule


def _layers(net: Any) -> list[list[str]]:
    """The leaves of every block."""
    return [[type(m).__name__ for m in block.modules() if not list(m.children())] for block in net]


def _case(name: str, algo: str, net: Any, expected: Any, read: Any = None) -> Case:
    """Case of a net that is fitted; what is read is the layers of its blocks unless ``read`` says otherwise."""

    def make(folder: Path) -> Any:
        torch.manual_seed(0)
        return net()

    def through(made: Any) -> Any:
        rule = _fitted(algo, made)
        return _layers(rule.blocks) if read is None else read(rule)

    return Case(name, "fit", make, through, expected if isinstance(expected, str) else lambda made: expected)


def cases() -> list[Case]:
    """All cases of this file."""
    linear = nn.Linear
    whole = [["Flatten", "Linear", "ReLU"], ["Linear"]]
    return [
        _case(
            "blocks: Flatten and ReLU of their own",
            "mono-forward",
            lambda: [nn.Flatten(), linear(6, 5), nn.ReLU(), linear(5, 3)],
            whole,
        ),
        _case(
            "blocks: a Sequential",
            "mono-forward",
            lambda: nn.Sequential(nn.Flatten(), linear(6, 5), nn.ReLU(), linear(5, 3)),
            whole,
        ),
        _case(
            "blocks: a Sequential with normalisation",
            "backprop",
            lambda: nn.Sequential(linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), linear(5, 3)),
            [["Linear", "BatchNorm1d", "ReLU"], ["Linear"]],
        ),
        _case(
            "blocks: a generator", "dfa", lambda: (linear(a, b) for a, b in ((6, 5), (5, 3))), [["Linear"], ["Linear"]]
        ),
        _case(
            "blocks: a ModuleList", "dfa", lambda: nn.ModuleList([linear(6, 5), linear(5, 3)]), [["Linear"], ["Linear"]]
        ),
        _case(
            "blocks: the last ends in Softmax",
            "backprop",
            lambda: [linear(6, 5), nn.Sequential(linear(5, 3), nn.Softmax(1))],
            ["the last block ends in Softmax, but its output is used as scores before a softmax: leave it out"],
            lambda rule: rule.notes,
        ),
        _case(
            "blocks: one is frozen",
            "local-loss",
            lambda: [linear(6, 6).requires_grad_(False), linear(6, 3)],
            ["frozen (requires_grad=False), left as they are: blocks 0"],
            lambda rule: rule.notes,
        ),
        _case(
            "blocks: a ReLU in place comes first",
            "mono-forward",
            lambda: [linear(6, 6), nn.Sequential(nn.ReLU(inplace=True), linear(6, 3))],
            ["block 1 changed its input in place, the output of the block before: it now makes a copy"],
            lambda rule: rule.notes,
        ),
        _case(
            "blocks: a ReLU in place after an aligned layer",
            "fa",
            lambda: [nn.Sequential(linear(6, 5), nn.ReLU(inplace=True)), linear(5, 3)],
            [["Linear", "ReLU"], ["Linear"]],
        ),
        _case(
            "blocks: an activation of its own between two layers",
            "dfa",
            lambda: [linear(6, 5), nn.Tanh(), linear(5, 3)],
            [["Linear", "Tanh"], ["Linear"]],
        ),
        _case(
            "blocks: a whole module", "mono-forward", lambda: linear(6, 3), "blocks is a Linear: give a list of modules"
        ),
        _case("blocks: a function", "backprop", lambda: [torch.relu, linear(6, 3)], "give modules, such as nn.ReLU()"),
        _case(
            "blocks: double precision",
            "backprop",
            lambda: [linear(6, 3).double()],
            "block 0 has parameters of type float64: convert it with .float(), or train with precision=fp64",
        ),
        _case(
            "blocks: bfloat16",
            "mono-forward",
            lambda: [linear(6, 3).bfloat16()],
            "block 0 has parameters of type bfloat16: convert it with .float()",
        ),
        _case(
            "blocks: complex",
            "backprop",
            lambda: [linear(6, 3, dtype=torch.complex64)],
            "block 0 has complex parameters",
        ),
        _case("blocks: scripted", "backprop", lambda: [torch.jit.script(linear(6, 3))], "block 0 is a compiled script"),
        _case("blocks: lazy", "backprop", lambda: [nn.LazyLinear(3)], "block 0 is lazy, its weights have no shape yet"),
        _case(
            "blocks: an LSTM",
            "recurrent-forward-forward",
            lambda: [_Recurrent(), linear(5, 3)],
            "block 0 puts out a tuple: a block gives one tensor",
        ),
        _case(
            "blocks: attention under feedback alignment",
            "fa",
            lambda: [nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), linear(6, 3)],
            "fa aligns linear layers and zero-padded 2-D convolutions, not MultiheadAttention (blocks.0.self_attn)",
        ),
        _case(
            "blocks: parametrised layer under feedback alignment",
            "fa",
            lambda: [nn.utils.parametrizations.weight_norm(linear(6, 3))],
            "fa aligns linear layers",
        ),
        _case("blocks: a layer used twice", "mono-forward", _shared, "and both would step it"),
        _case("blocks: nothing to train", "backprop", lambda: [nn.Flatten(), nn.ReLU()], "nothing can be trained"),
        _case(
            "blocks: widths that do not fit",
            "dfa",
            lambda: [linear(6, 5), linear(4, 3)],
            "block 1 cannot take examples of shape (5,)",
        ),
        _case(
            "blocks: too few outputs",
            "dfa",
            lambda: [linear(6, 5), linear(5, 2)],
            "the last block puts out 2 numbers an example: expected 3, one score a class",
        ),
    ]
