"""Acoustic layers: loudspeakers, a cavity with weak membranes and microphones, simulated, each with a linear map.

After Momeni, Rahmani, Malléjac, del Hougne, Fleury, arXiv 2304.11042. Input ``tones * source + tone`` is the amplitude
of one tone at one loudspeaker, ``|x| / ||x||``; output ``tones * microphone + tone`` the amplitude at a microphone:

    A_mf = sum_s T_f,ms x_sf + sum_k O_f,mk Q_kf,    y_mf = |A_mf|,    T complex Gaussian
    p_k(t) = Re sum_f e^(i w_f t) sum_s I_f,ks x_sf,   q_k = beta p_k^2 + kappa p_k^3,   Q_kf its component at w_f
    y <- y (1 + relative_noise N(0,1)) + floor_noise N(0,1)

The tones are equally spaced, so that a product such as 2 w_1 - w_2 falls on another tone.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System

if TYPE_CHECKING:
    from bpfree.training.data import Spec

FIRST_BIN, BIN_STEP = 10, 6  # of the tones, in periods of the time window


@settings
class Settings(PhysicalSettings):
    sources: int = setting(4, "loudspeakers", ge=1)
    microphones: int = setting(4, "microphones", ge=1)
    membranes: int = setting(2, "membranes that move nonlinearly", ge=0)
    beta: float = setting(0.0, "quadratic response of a membrane")
    kappa: float = setting(0.02, "cubic response of a membrane; 0.02: about 1 % of the output")
    relative_noise: float = setting(0.02, "noise as a share of each output", ge=0)
    floor_noise: float = setting(0.0005, "noise that does not depend on the output", ge=0)


class Acoustic(System):
    """Sound in a cavity.

    Args:
        settings: of the net.
        inputs: numbers to send; the tones are as many as they need.
    """

    settings: Settings  # type: ignore[assignment]

    def __init__(self, settings: Settings, inputs: int):
        self.tones = tones = -(-inputs // settings.sources)
        super().__init__(settings, settings.sources * tones, settings.microphones * tones)
        sources, microphones, membranes = settings.sources, settings.microphones, settings.membranes
        self.add("T", self.draw("T", tones, microphones, sources) / math.sqrt(sources))
        if membranes:
            self.add("I", self.draw("I", tones, membranes, sources) / math.sqrt(sources))
            self.add("O", self.draw("O", tones, microphones, membranes) / math.sqrt(membranes))
        self.bins = FIRST_BIN + BIN_STEP * torch.arange(tones)
        highest = 3 * int(self.bins[-1])
        self.samples = 2 ** math.ceil(math.log2(2 * highest + 2))  # nothing of third order folds back

    def encode(self, x: Tensor) -> Tensor:
        length = x.square().sum(1, keepdim=True).sqrt()
        return x.abs() / torch.where(length > 0, length, 1.0)

    def respond(self, e: Tensor) -> Tensor:
        x = e.unflatten(1, (self.settings.sources, self.tones)).to(e.dtype.to_complex())
        amplitude = torch.einsum("bsf,fms->bmf", x, self.at("T", e))
        if self.settings.membranes and (self.settings.beta or self.settings.kappa):
            driven = torch.einsum("bsf,fks->bkf", x, self.at("I", e))
            amplitude = amplitude + torch.einsum("bkf,fmk->bmf", self.membrane(driven), self.at("O", e))
        return amplitude.abs().flatten(1)

    def membrane(self, driven: Tensor) -> Tensor:
        """Nonlinear response of the membranes at the tones, ``(B, K, F)`` for a drive ``(B, K, F)``."""
        bins = self.bins.to(driven.device)
        spectrum = driven.new_zeros(*driven.shape[:2], self.samples // 2 + 1).index_copy(2, bins, driven)
        p = torch.fft.irfft(spectrum, n=self.samples) * (self.samples / 2)
        q = self.settings.beta * p.square() + self.settings.kappa * p**3
        return torch.fft.rfft(q).index_select(2, bins) * (2 / self.samples)

    def detect(self, y: Tensor, rng: torch.Generator) -> Tensor:
        settings = self.settings
        for level in (settings.relative_noise * y, torch.full_like(y, settings.floor_noise)):
            y = y + level * torch.randn(y.shape, dtype=y.dtype, generator=rng).to(y.device)
        return y


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Build the layers around one system.

    Args:
        spec: description of the data; ``spec.shape`` is flattened.
        settings: of the net.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        Physical layers ``(B, …)`` -> ``(B, hidden_k)`` and, unless ``hidden_only``, a linear classifier.

    Raises:
        InputError: the ports or layers do not fit the system
    """
    return layers(Acoustic(settings, needed_ports(spec, settings)), spec, hidden_only)
