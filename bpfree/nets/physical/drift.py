"""Changes of a system during training: slow drift, gains that vary, a sudden change, dead outputs.

    drift       T <- sqrt(1 - eps^2) T + eps G             each training batch; after n of them corr = (1 - eps^2)^(n/2)
    sudden      T <- sqrt(1 - p) T + sqrt(p) G             once; correlation with the old T sqrt(1 - p)
    gain        y_j <- y_j exp(r_j),  r <- rho r + sqrt(1 - rho^2) s N(0, 1),  rho = exp(-1 / batches)
    dead        y_j = 0 for a random subset of the outputs

G is a fresh draw with the scale of T.
"""

import math
from typing import Any

import torch
from torch import Tensor

from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.training.random_streams import derive


class Drift:
    """Drift of one system, with a random stream for this purpose alone.

    Args:
        settings: of the net.
        outputs: m, number of outputs of the system.

    Attributes:
        clock: training batches so far.
        moved: True once the system differs from the one that its seed gives.
        gain: logarithm of each output's gain ``(m,)``.
        alive: 1 for an output that works, 0 for a dead one, ``(m,)``.
    """

    def __init__(self, settings: PhysicalSettings, outputs: int):
        self.settings, self.clock = settings, 0
        self.rng = torch.Generator().manual_seed(derive(settings.system_seed, "drift"))
        self.moved = False
        self.gain = self._normal(torch.zeros(outputs, dtype=torch.float64)) * settings.gain_drift
        self.alive = torch.ones(outputs, dtype=torch.float64)
        self.alive[torch.randperm(outputs, generator=self.rng)[: round(settings.dead * outputs)]] = 0

    def tick(self, scatter: dict[str, Tensor], scales: dict[str, float]) -> bool:
        """Advance by one training batch.

        Args:
            scatter: parts of the system by name, replaced where they change.
            scales: root mean square of each part.

        Returns:
            True if ``scatter`` was changed.
        """
        settings = self.settings
        self.clock += 1
        if settings.gain_drift:
            rho = math.exp(-1 / settings.gain_batches)
            self.gain = rho * self.gain + math.sqrt(1 - rho**2) * settings.gain_drift * self._normal(self.gain)
        shares = [settings.drift**2, settings.hit if self.clock == settings.hit_at else 0.0]
        for share in filter(None, shares):
            for name, tensor in scatter.items():
                fresh = self._normal(tensor) * scales[name]
                scatter[name] = math.sqrt(1 - share) * tensor + math.sqrt(share) * fresh
            self.moved = True
        return any(shares)

    def _normal(self, like: Tensor) -> Tensor:
        """Normal numbers of unit variance, complex where ``like`` is."""
        return torch.randn(like.shape, dtype=like.dtype, generator=self.rng)

    def __call__(self, y: Tensor) -> Tensor:
        """Apply gains and dead outputs to measurements ``(B, m)``."""
        if not self.settings.gain_drift and not self.settings.dead:
            return y
        return y * (self.gain.exp() * self.alive).to(y)

    def state_dict(self) -> dict[str, Any]:
        return {"clock": self.clock, "moved": self.moved, "gain": self.gain, "rng": self.rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.clock, self.moved, self.gain = state["clock"], state["moved"], state["gain"]
        self.rng.set_state(state["rng"])
