"""Convolutions over time for ``(T, N)`` inputs: the plain baseline for spiking nets that learn delays.

Block k is ``h -> relu(norm(conv_k(h)))`` over time, ``(B, T, n_{k-1})`` to ``(B, T, n_k)``: every tap of the kernel has
a weight, where a synapse with a delay has one. It is causal: at time t it sees t - kernel + 1 … t, zeros before 0.
Unless a rule brings its own heads, the last block averages over time and is a linear classifier.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import PositiveInt
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.nets.gru import MeanOverTime, sequence

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings:
    hidden: tuple[PositiveInt, ...] = setting((64, 64), "channels of the convolutions, all positive")
    kernel: int = setting(5, "taps, time steps that a convolution sees", ge=1)


class Causal(nn.Module):
    """Convolution over time with batch normalisation and relu: ``(B, T, in)`` to ``(B, T, out)``.

    Args:
        inputs: channels in.
        width: channels out.
        kernel: taps, in time steps.
    """

    def __init__(self, inputs: int, width: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv1d(inputs, width, kernel, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, h: Tensor) -> Tensor:
        past = nn.functional.pad(h.mT, (self.conv.kernel_size[0] - 1, 0))  # (B, in, kernel - 1 + T)
        return self.norm(self.conv(past)).relu().mT


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
    sizes = [sequence(spec, "conv1d"), *settings.hidden]
    blocks: list[nn.Module] = [Causal(a, b, settings.kernel) for a, b in pairwise(sizes)]
    if not hidden_only:
        blocks.append(nn.Sequential(MeanOverTime(), nn.Linear(sizes[-1], spec.outputs[0])))
    return blocks
