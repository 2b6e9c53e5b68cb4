"""Gated recurrent net for sequences ``(T, N)``: the plain baseline for spiking nets.

Block k runs a GRU layer (Cho et al., arXiv 1406.1078) over time, ``(B, T, n_{k-1})`` to ``(B, T, n_k)``; unless a rule
brings its own heads, the last block averages over time and is a linear classifier.

    r = sigm(W_r x_t + U_r h),  z = sigm(W_z x_t + U_z h),  n = tanh(W_n x_t + r * (U_n h)),  h <- (1 - z) * n + z * h
"""

from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import PositiveInt
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings:
    hidden: tuple[PositiveInt, ...] = setting((128,), "widths of the recurrent layers, all positive")


class Recurrent(nn.Module):
    """One GRU layer that begins every sequence at zero: ``(B, T, in)`` to ``(B, T, out)``.

    Args:
        inputs: channels in.
        width: units of the layer.
    """

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.gru = nn.GRU(inputs, width, batch_first=True)

    def forward(self, h: Tensor) -> Tensor:
        return self.gru(h)[0]


class MeanOverTime(nn.Module):
    """Mean over time: ``(B, T, n)`` to ``(B, n)``."""

    def forward(self, h: Tensor) -> Tensor:
        return h.mean(1)


def sequence(spec: "Spec", net: str) -> int:
    """Number of channels of sequences.

    Args:
        spec: description of the data.
        net: name of the net, for the message.

    Returns:
        N of inputs ``(T, N)``.

    Raises:
        InputError: the data are no such sequences.
    """
    if len(spec.shape) != 2 or len(spec.outputs) != 1:
        raise InputError(f"net {net} needs sequences (time, channels), not inputs of shape {spec.shape}: try --net mlp")
    return spec.shape[1]


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks.

    Args:
        spec: description of the data; ``spec.shape`` is (time, channels).
        settings: of the net.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        Blocks ``(B, T, n)`` -> ``(B, T, n_k)`` and, unless ``hidden_only``, the classifier of the mean over time.

    Raises:
        InputError: inputs that are no sequences
    """
    sizes = [sequence(spec, "gru"), *settings.hidden]
    blocks: list[nn.Module] = [Recurrent(a, b) for a, b in pairwise(sizes)]
    if not hidden_only:
        blocks.append(nn.Sequential(MeanOverTime(), nn.Linear(sizes[-1], spec.outputs[0])))
    return blocks
