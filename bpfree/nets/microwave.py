"""Microwave layers: a cavity with a 1-bit metasurface, simulated by coupled dipoles, each with a linear map.

Every input sets two metasurface elements: with the row scaled to 0..1, 0 is off off, up to 1/4 off on, up to 3/4 on
off, above on on. Outputs are |S21| at equally spaced frequencies from 0.9 to 1.1. With k = 2 pi f and dipoles at r_i
(antennas, a wall of dipoles around the cavity, scatterers, metasurface), as in del Hougne's PhysFad
(github.com/philipp-delhougne/PhysFad):

    W_ii = ((2 pi f_res)^2 - (2 pi f)^2) / chi^2 + i (k^2 / 4 + 2 pi f Gamma / chi^2)
    W_ij = i (k^2 / 4) H0^(2)(k |r_i - r_j|)
    S21 = V[rx, tx],   V = diag(W) W^-1

Everything but the metasurface is eliminated beforehand (Schur complement), exactly:

    y_f = | s0_f + b_f^T (D_f(bits) - M_f)^-1 a_f |,      D_f diagonal, one of two values for each bit
"""

from typing import TYPE_CHECKING

import numpy as np
import scipy.special
import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System
from bpfree.training.random_streams import derive

if TYPE_CHECKING:
    from bpfree.training.data import Spec

ANTENNA, WALL, ON, OFF = (1.0, 0.5, 0.0), (10.0, 50.0, 100.0), (1.0, 50.0, 0.0), (5.0, 50.0, 0.0)  # f_res, chi, Gamma


@settings
class Settings(PhysicalSettings):
    outputs: int | None = setting(None, "number of frequencies (none: as many as inputs)", ge=1)
    scatterers: int = setting(20, "number of dipoles like the wall's, at random places in the cavity", ge=0)
    relative_noise: float = setting(0.01, "noise as a share of each output", ge=0)


class Scene:
    """Places of the dipoles, in wavelengths at f = 1: transmitter, receiver, wall, scatterers, then the metasurface.

    Args:
        elements: number of metasurface elements.
        scatterers: number of scatterers.
        rng: draws the places of antennas and scatterers.
    """

    def __init__(self, elements: int, scatterers: int, rng: np.random.Generator):
        side = max(4.0, elements / 8)  # the metasurface takes half of one side, four elements a wavelength
        corner = np.linspace(0, side, int(4 * side), endpoint=False)
        wall = [np.stack(p, 1) for p in ((corner, 0 * corner), (corner + 0.25, 0 * corner + side))]
        wall += [np.stack(p, 1) for p in ((0 * corner, corner + 0.25), (0 * corner + side, corner))]
        inside = rng.uniform(0.8, side - 0.8, (2 + scatterers, 2))
        surface = np.stack([side / 4 + np.arange(elements) / 4, np.full(elements, 0.4)], 1)
        self.places = np.concatenate([inside[:2], *wall, inside[2:], surface])
        self.fixed = [ANTENNA] * 2 + [WALL] * (len(self.places) - 2 - elements)

    def interaction(self, f: float, kinds: list[tuple[float, float, float]]) -> np.ndarray:
        """Interaction matrix W.

        Args:
            f: frequency.
            kinds: f_res, chi and Gamma of every dipole.

        Returns:
            ``(dipoles, dipoles)`` complex.
        """
        k = 2 * np.pi * f
        distance = np.linalg.norm(self.places[:, None] - self.places[None], axis=2)
        np.fill_diagonal(distance, 1.0)
        w = 1j * k**2 / 4 * scipy.special.hankel2(0, k * distance)
        np.fill_diagonal(w, [self_term(f, *kind) for kind in kinds])
        return w


def self_term(f: float, f_res: float, chi: float, gamma: float) -> complex:
    """Inverse polarisability W_ii of a dipole.

    Args:
        f: frequency.
        f_res: resonance frequency.
        chi: coupling strength.
        gamma: absorption.

    Returns:
        A complex number.
    """
    k = 2 * np.pi * f
    return ((2 * np.pi * f_res) ** 2 - k**2) / chi**2 + 1j * (k**2 / 4 + k * gamma / chi**2)


class Microwave(System):
    """Microwaves in a cavity whose wall can be switched.

    Args:
        settings: of the net.
        inputs: number of values, each of which sets two elements.
    """

    differentiable = False  # bits have no derivative
    settings: Settings  # type: ignore[assignment]

    def __init__(self, settings: Settings, inputs: int):
        super().__init__(settings, inputs, settings.outputs or inputs)
        n = 2 * inputs
        self.frequencies = np.linspace(0.9, 1.1, self.outputs)
        self.scene = Scene(n, settings.scatterers, np.random.default_rng(derive(settings.system_seed, "scene")))
        parts = [self._reduced(f, n) for f in self.frequencies]
        s0, a, b, m = (torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True))
        for name, tensor in (("s0", s0), ("a", a), ("b", b)):  # the paths to and from the metasurface drift
            self.add(name, tensor)
        self.switched = torch.tensor([[self_term(f, *OFF), self_term(f, *ON)] for f in self.frequencies])  # (F, 2)
        self.coupling = m  # (F, n, n)

    def _reduced(self, f: float, n: int) -> tuple[np.ndarray, ...]:
        """Eliminate antennas, wall and scatterers: s0, a, b, M at frequency ``f``."""
        w = self.scene.interaction(f, [*self.scene.fixed, *[OFF] * n])
        rest = len(w) - n
        to_surface = np.linalg.solve(w[:rest, :rest], np.concatenate([np.eye(rest)[:, :1], w[:rest, rest:]], 1))
        receiver = w[1, 1]
        between = w[rest:, rest:] - np.diag(np.diag(w[rest:, rest:]))
        m = w[rest:, :rest] @ to_surface[:, 1:] - between
        return receiver * to_surface[1, 0], w[rest:, :rest] @ to_surface[:, 0], receiver * to_surface[1, 1:], m

    def encode(self, x: Tensor) -> Tensor:
        """Bits ``(B, 2 inputs)``, as 0 and 1."""
        low, high = x.aminmax(dim=1, keepdim=True)
        unit = (x - low) / torch.where(high > low, high - low, 1.0)
        first, second = unit > 0.25, ((unit > 0) & (unit <= 0.25)) | (unit > 0.75)
        return torch.stack([first, second], 2).flatten(1).to(x.dtype)

    def respond(self, e: Tensor) -> Tensor:
        complex_type = e.dtype.to_complex()
        kinds, m = self.switched.to(e.device, complex_type), self.coupling.to(e.device, complex_type)
        s0, a, b = (self.at(name, e) for name in ("s0", "a", "b"))
        outputs = []
        for rows in e.split(64):  # 64 rows of all frequencies at a time, to bound memory
            d = torch.where(rows[:, None] > 0.5, kinds[None, :, 1:], kinds[None, :, :1])  # (B, F, n)
            x = torch.linalg.solve(torch.diag_embed(d) - m, a.expand(len(rows), -1, -1))
            outputs.append((s0 + (b * x).sum(2)).abs())
        return torch.cat(outputs)

    def detect(self, y: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(y.shape, dtype=y.dtype, generator=rng).to(y.device)
        return y * (1 + self.settings.relative_noise * noise)


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
    return layers(Microwave(settings, needed_ports(spec, settings)), spec, hidden_only)
