"""Optical layers: a complex transmission matrix and a camera, simulated, each with a linear map.

Kerr stages in front of the last scattering are optional. After Momeni, Rahmani, Malléjac, del Hougne, Fleury, arXiv
2304.11042.

E = a  (amplitude, a = x / max|x|)   or   exp(i pi a)  (phase)
[ E <- T_s E,  E <- E exp(i gamma |E|^2) ]  for each Kerr stage,  gamma mean|E|^2 = kerr_phase
y = |T E|   or   |T E|^2,   T_mn = (N(0,1) + i N(0,1)) / sqrt(2 N),   then the mean over ``pool`` camera pixels
y <- Poisson(photons y) / photons + read_noise N(0,1),   clipped and rounded to adc_bits,   all for y of mean 1
"""

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(PhysicalSettings):
    outputs: int | None = setting(None, "number of camera outputs (none: as many as inputs)", ge=1)
    encoding: Literal["amplitude", "phase"] = setting("amplitude", "property of the light that carries the input")
    detector: Literal["modulus", "intensity"] = setting("modulus", "reading of the camera: |T E| or |T E|^2")
    pool: int = setting(1, "number of camera pixels averaged into one output", ge=1)
    kerr_stages: int = setting(0, "number of stages of scattering and nonlinear phase before the last scattering", ge=0)
    kerr_phase: float = setting(1.0, "mean nonlinear phase of a stage", unit="rad", gt=0)
    photons: float | None = setting(1000.0, "photons at the mean output, for shot noise (none: no shot noise)", gt=0)
    read_noise: float = setting(0.01, "read noise as a share of the mean output", ge=0)
    adc_bits: int | None = setting(8, "resolution of the camera in bits (none: exact)", ge=1, le=16)
    full_scale: float = setting(8.0, "largest output that the camera shows, in units of the mean output", gt=0)


class Optics(System):
    """Light through a scattering medium onto a camera.

    Args:
        settings: of the net.
        inputs: N, number of values.
    """

    settings: Settings  # type: ignore[assignment]

    def __init__(self, settings: Settings, inputs: int):
        super().__init__(settings, inputs, settings.outputs or inputs)
        for stage in range(settings.kerr_stages):
            self.add(f"T{stage}", self.draw(f"T{stage}", inputs, inputs) / math.sqrt(inputs))
        self.add("T", self.draw("T", self.outputs * settings.pool, inputs) / math.sqrt(inputs))

    def respond(self, e: Tensor) -> Tensor:
        settings = self.settings
        field = torch.polar(torch.ones_like(e), math.pi * e) if settings.encoding == "phase" else e
        for stage in range(settings.kerr_stages):
            field = through(field, self.at(f"T{stage}", e))
            power = field.abs().square()
            phase = settings.kerr_phase * power / power.mean(1, keepdim=True).clamp(min=torch.finfo(e.dtype).tiny)
            field = field * torch.polar(torch.ones_like(phase), phase)
        y = through(field, self.at("T", e)).abs()
        y = y if settings.detector == "modulus" else y.square()
        return y.unflatten(1, (self.outputs, settings.pool)).mean(2)

    def detect(self, y: Tensor, rng: torch.Generator) -> Tensor:
        settings = self.settings
        unit = y.mean(1, keepdim=True).clamp(min=torch.finfo(y.dtype).tiny)  # exposure: a mean output of 1
        y = y / unit
        if settings.photons is not None:
            y = (torch.poisson(settings.photons * y.cpu(), rng) / settings.photons).to(y)
        if settings.read_noise:
            y = y + settings.read_noise * torch.randn(y.shape, dtype=y.dtype, generator=rng).to(y.device)
        if settings.adc_bits is not None:
            step = settings.full_scale / (2**settings.adc_bits - 1)
            y = (y.clamp(0, settings.full_scale) / step).round() * step
        return y * unit


def through(field: Tensor, t: Tensor) -> Tensor:
    """Transmit every row of a field: ``T E``.

    Args:
        field: ``(B, n)``, real or complex.
        t: transmission matrix ``(m, n)`` complex.

    Returns:
        ``(B, m)`` complex.
    """
    if field.is_complex():
        return field @ t.mT
    return torch.complex(field @ t.real.mT, field @ t.imag.mT)


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
    return layers(Optics(settings, needed_ports(spec, settings)), spec, hidden_only)
