"""Spiking net with a delay on every synapse (DCLS-Delays).

Hammouamri, Khalfaoui-Hassani, Masquelier, arXiv 2306.17670. A hidden block is ``pad -> delay convolution -> batch norm
over time and samples -> LIF -> dropout``, the mask held over all time steps; the readout ``pad -> delay convolution ->
LIF that never fires -> one score a class``. Delays are bumps that narrow in training and one tap of whole steps in
evaluation, which depends on the weights and the rounded positions alone. Under any rule the positions stay in the range
of the taps (`Synapses.constrain`); rules ``delay-snn`` and ``delay-snn-local`` train them at another rate, without
decay.

Shapes: spike counts ``(B, T, N)``, or images of one channel read row by row, to spikes ``(B, T_out, n_k)``, to scores
``(B, C)``. With ``--padding right`` every layer lengthens time by half the longest delay, so that late spikes still
arrive. Inside a block time is the first axis; blocks exchange views, without a copy.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional.delays import convolve, gauss_kernel, tap_kernel
from bpfree.functional.spiking import lif, membrane, spikingjelly_lif

if TYPE_CHECKING:
    from bpfree.training.data import Spec

NEURONS = {"fused": lif, "spikingjelly": spikingjelly_lif}
NARROW, LEAST = 0.23, 0.27  # a bump's width is its buffer plus LEAST; the buffer falls to NARROW


@settings
class Settings:
    hidden: tuple[PositiveInt, ...] = setting((256, 256), "spiking neurons of the hidden layers, all positive")
    delays: Literal["learned", "fixed", "none"] = setting(
        "learned", "learned; fixed: random and never trained; none: all zero"
    )
    max_delay_ms: float = setting(250.0, "longest delay; an odd number of taps covers it", unit="ms", gt=0)
    bin_ms: float = setting(10.0, "length of a time step", unit="ms", gt=0)
    tau_ms: float = setting(10.05, "time constant of the membranes, longer than a step", unit="ms", gt=0)
    synapses: int | None = setting(None, "number of random inputs of every neuron (none: the whole layer below)", ge=1)
    kernel_count: int = setting(1, "number of delays of every synapse, each with a weight", ge=1)
    padding: Literal["right", "causal"] = setting(
        "right", "right: layers run until late spikes have arrived; causal: as long as the input"
    )
    dropout: float = setting(0.4, "share of neurons silenced for a whole sample", ge=0, lt=1, search=(0.0, 0.5))
    surrogate_alpha: float = setting(5.0, "steepness of the surrogate of a spike's derivative", gt=0)
    neuron: Literal["fused", "spikingjelly"] = setting("fused", "LIF of this package, or spikingjelly's: same spikes")
    time_readout: Literal["sum", "mean", "max"] = setting(
        "sum", "scores: softmax of the readout's membranes summed over time (numbers: mean), their mean, or maximum"
    )
    start_width: float | None = setting(
        None, "initial width of the delays' bumps (none: about half the taps)", unit="steps", ge=0.5
    )
    anneal_share: float = setting(0.25, "share of the epochs over which the bumps narrow to 0.5 steps", gt=0, le=1)

    @property
    def tau(self) -> float:
        """Time constant in steps."""
        return self.tau_ms / self.bin_ms

    @property
    def taps(self) -> int:
        """Number of taps K, odd; 1 without delays."""
        return 1 if self.delays == "none" else round(self.max_delay_ms / self.bin_ms) // 2 * 2 + 1


class Synapses(nn.Module):
    """Synapses of a layer: weights ``(O, S, C)``, positions ``P (O, S, C)`` in [-K//2, K//2], delays ``K//2 - P``.

    Args:
        fan_in: I, number of inputs.
        fan_out: O, number of neurons.
        settings: of the net.

    Attributes:
        sources: ``(O, S)``, the inputs of each neuron; None where it has all of them.
        width: scalar, width of learned bumps above `LEAST`.
    """

    sources: Tensor | None
    width: Tensor

    def __init__(self, fan_in: int, fan_out: int, settings: Settings):
        super().__init__()
        if settings.synapses is not None and settings.synapses > fan_in:
            raise InputError(
                f"synapses = {settings.synapses} is more than the {fan_in} inputs of a layer: use at most {fan_in}"
            )
        self.fan_in, self.settings, self.taps = fan_in, settings, settings.taps
        self.middle = self.taps // 2
        count = settings.kernel_count if self.taps > 1 else 1
        shape = (fan_out, settings.synapses or fan_in, count)
        bound = math.sqrt(6 / (shape[1] * count))  # kaiming, for relu
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        sources = None
        if settings.synapses is not None:
            sources = torch.rand(fan_out, fan_in).argsort(1)[:, : settings.synapses].sort(1).values
        self.register_buffer("sources", sources)
        if self.taps == 1:
            return
        position = torch.empty(shape).uniform_(-self.middle - 1, self.middle).clamp_(-self.middle, self.middle)
        if settings.delays == "fixed":
            self.register_buffer("position", position.round_())
            return
        self.position = nn.Parameter(position)
        start = self.middle if settings.start_width is None else settings.start_width - LEAST
        self.start = max(start, NARROW)
        self.register_buffer("width", torch.tensor(float(self.start)))

    def constrain(self) -> None:
        """Clamp the positions to the range that the taps cover."""
        if isinstance(getattr(self, "position", None), nn.Parameter):
            with torch.no_grad():
                self.position.clamp_(-self.middle, self.middle)

    def anneal(self, epochs: int) -> None:
        """Narrow the bumps after an epoch, by equal factors over ``anneal_share`` of all ``epochs``."""
        if isinstance(getattr(self, "position", None), nn.Parameter):
            steps = max(1, int(self.settings.anneal_share * epochs))
            self.width.mul_((NARROW / self.start) ** (1 / steps)).clamp_(min=NARROW)

    def kernel(self) -> Tensor:
        """Kernel ``(K, I, O)``, indexed by delay."""
        weight = self.weight.permute(2, 1, 0).contiguous()  # (C, S, O)
        if self.taps == 1:
            kernel = weight
        else:
            delay = (self.middle - self.position.clamp(-self.middle, self.middle)).permute(2, 1, 0).contiguous()
            if self.training and isinstance(self.position, nn.Parameter):
                kernel = gauss_kernel(weight, delay, self.width + LEAST, self.taps).sum(1)
            else:
                kernel = tap_kernel(weight, delay, self.taps).sum(1)
        if self.sources is None:
            return kernel  # (K, S, O)
        where = self.sources.T.expand_as(kernel)
        return kernel.new_zeros(len(kernel), self.fan_in, kernel.shape[2]).scatter(1, where, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Currents ``(T_out, B, O)`` of spikes ``(T, B, I)``."""
        return convolve(x, self.kernel(), len(x) + (self.middle if self.settings.padding == "right" else 0))

    def outgoing(self) -> Tensor:
        """Number of synapses of every input ``(I,)``, each of several delays counted."""
        fan_out, _, count = self.weight.shape
        if self.sources is None:
            return torch.full((self.fan_in,), fan_out * count, device=self.weight.device)
        return count * torch.bincount(self.sources.flatten(), minlength=self.fan_in)


class Spiking(nn.Module):
    """Hidden block: ``(B, T, I)`` to spikes ``(B, T_out, O)``.

    Args:
        fan_in: I, number of inputs.
        fan_out: O, number of neurons.
        settings: of the net.
    """

    def __init__(self, fan_in: int, fan_out: int, settings: Settings):
        super().__init__()
        self.settings = settings
        self.synapses = Synapses(fan_in, fan_out, settings)
        self.norm = nn.BatchNorm1d(fan_out)

    def forward(self, x: Tensor) -> Tensor:
        currents = self.synapses(time_first(x))
        currents = self.norm(currents.flatten(0, 1)).view_as(currents)
        spikes = NEURONS[self.settings.neuron](currents, self.settings.tau, self.settings.surrogate_alpha)
        if self.training and self.settings.dropout:
            spikes = spikes * F.dropout(torch.ones_like(spikes[0]), self.settings.dropout)  # one mask for all time
        return spikes.transpose(0, 1)

    def readout(self, spec: "Spec") -> "Readout":
        """Build a readout of the classes or targets of ``spec`` for the output of this block."""
        return Readout(self.norm.num_features, spec, self.settings)


class Readout(nn.Module):
    """Readout by membranes that never fire: ``(B, T, I)`` to scores ``(B, C)``, or to numbers ``(B, targets)``.

    Args:
        fan_in: I, number of inputs.
        spec: of the data.
        settings: of the net.
    """

    def __init__(self, fan_in: int, spec: "Spec", settings: Settings):
        super().__init__()
        self.settings, self.classes = settings, spec.classes
        self.synapses = Synapses(fan_in, spec.outputs[0], settings)

    def forward(self, x: Tensor) -> Tensor:
        v = membrane(self.synapses(time_first(x)), self.settings.tau)  # (T, B, C)
        if self.settings.time_readout == "sum" and self.classes:
            return v.softmax(2).sum(0)
        return v.amax(0) if self.settings.time_readout == "max" else v.mean(0)


def time_first(x: Tensor) -> Tensor:
    """View ``(T, B, N)`` of ``(B, T, N)`` or of images ``(B, 1, T, N)``."""
    return (x.squeeze(1) if x.dim() == 4 else x).transpose(0, 1)


def operations(blocks: Sequence[nn.Module], x: Tensor) -> dict[str, float]:
    """Count the operations of a prediction in a net whose neurons are updated when a spike arrives.

    Args:
        blocks: all blocks of the net, in order.
        x: inputs ``(B, T, N)``.

    Returns:
        Means over the samples: spikes of the input (the sum of its counts) and of every hidden layer; ``accumulates``:
        one for each spike and synapse that it reaches; ``multiply-accumulates``: one for each neuron and step, for the
        leak. Batch normalisation is folded into the weights.
    """
    counts, accumulates, leaks = {}, 0.0, 0.0
    for k, block in enumerate(blocks):
        spikes = time_first(x).sum((0, 1), dtype=torch.float64) / len(x)  # (I,) a sample
        counts[f"spikes of layer {k}" if k else "spikes of the input"] = spikes.sum().item()
        synapses: Synapses = block.synapses  # type: ignore[assignment]
        accumulates += (spikes * synapses.outgoing()).sum().item()
        steps = time_first(x).shape[0] + (synapses.middle if synapses.settings.padding == "right" else 0)
        leaks += steps * synapses.weight.shape[0]
        x = block(x)
    return {**counts, "accumulates": accumulates, "multiply-accumulates": leaks}


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the blocks.

    Args:
        spec: description of the data; ``spec.shape`` is (T, N) or (1, T, N).
        settings: of the net.
        hidden_only: leave out the readout, for rules with heads of their own.

    Returns:
        Spiking blocks ``(B, T, N)`` -> ``(B, T_out, n_k)`` and, unless ``hidden_only``, the readout of the classes.

    Raises:
        InputError: inputs of another shape, or time constants and delays that do not fit the steps
    """
    shape = spec.shape[1:] if len(spec.shape) == 3 and spec.shape[0] == 1 else spec.shape
    if len(shape) != 2:
        raise InputError(
            f"net delay-snn needs spike counts (time, channels), not inputs of shape {spec.shape}: try --data fsdd"
        )
    if len(spec.outputs) > 1 and not hidden_only:
        raise InputError(f"net delay-snn ends in one score a class or target, not in {spec.outputs}: use another net")
    if settings.tau <= 1:
        raise InputError(
            f"tau_ms = {settings.tau_ms:g} is no longer than a step: use more than bin_ms = {settings.bin_ms:g}"
        )
    if settings.delays != "none" and settings.taps < 3:
        raise InputError(
            f"max_delay_ms = {settings.max_delay_ms:g} is less than two steps of {settings.bin_ms:g} ms: use more, or "
            f"delays = none"
        )
    if settings.taps > shape[0]:
        raise InputError(
            f"delays up to {settings.taps - 1} steps do not fit into a sequence of {shape[0]}: use max_delay_ms below "
            f"{shape[0] * settings.bin_ms:g}"
        )
    blocks: list[nn.Module] = []
    fan_in = shape[1]
    for width in settings.hidden:
        blocks.append(Spiking(fan_in, width, settings))
        fan_in = width
    return blocks if hidden_only else [*blocks, Readout(fan_in, spec, settings)]
