"""A digital model of a physical system, fitted to measured pairs: what in-silico and physics-aware training need.

y ~ sigma * MLP(e) + mu          SiLU between the layers; mean squared error of standardised outputs, Adam at 1e-3
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BATCH = 100


class Regressor:
    """Multi-layer perceptron with standardised outputs, fitted by Adam.

    Attributes:
        weights: w_1, b_1, w_2, b_2, … in the precision of the pairs; empty before the fit.
        r2: explained share of the variance of held-out outputs, over all outputs.
        rmse: root mean square error there.
    """

    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.shift: Tensor | None = None
        self.scale: Tensor | None = None
        self.r2: float | None = None
        self.rmse: float | None = None

    @property
    def fitted(self) -> bool:
        return bool(self.weights)

    @property
    def macs(self) -> int:
        """Multiply-adds of one row forwards."""
        return sum(w.numel() for w in self.weights[::2])

    @property
    def last(self) -> Tensor:
        """Weights of the last layer."""
        return self.weights[-2]

    def __call__(self, e: Tensor, last: Tensor | None = None) -> Tensor:
        """Outputs ``(B, m)`` for ``e (B, n)``; ``last`` replaces the weights of the last layer."""
        assert self.shift is not None
        assert self.scale is not None
        parts = [p.to(e) for p in (self.weights if last is None else [*self.weights[:-2], last, self.weights[-1]])]
        h = e
        for i in range(0, len(parts), 2):
            h = F.linear(h if i == 0 else F.silu(h), parts[i], parts[i + 1])
        return h * self.scale.to(e) + self.shift.to(e)

    @torch.enable_grad()
    def learn(self, e: Tensor, y: Tensor, sizes: Sequence[int], steps: int, seed: int) -> int:
        """Fit to nine tenths of the pairs and evaluate on the rest.

        Args:
            e: inputs ``(N, n)``.
            y: outputs ``(N, m)``.
            sizes: widths of the hidden layers.
            steps: batches of 100 rows; the learning rate falls to zero along half a cosine.
            seed: of weights and order.

        Returns:
            Multiply-adds of the fit.
        """
        rng = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(e), generator=rng)
        test, train = order[: len(e) // 10], order[len(e) // 10 :]
        self.shift, self.scale = y[train].mean(0), y[train].std(0).clamp(min=1e-12)
        self.weights = []
        widths = [e.shape[1], *sizes, y.shape[1]]
        for n, m in itertools.pairwise(widths):
            for shape in ((m, n), (m,)):
                self.weights.append((2 * torch.rand(shape, generator=rng, dtype=e.dtype) - 1) / n**0.5)
        params = [w.requires_grad_() for w in self.weights]
        adam = torch.optim.Adam(params, 1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            rows = train[torch.randint(len(train), (BATCH,), generator=rng)]
            loss = ((self(e[rows]) - y[rows]) / self.scale).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
        self.weights = [w.detach() for w in params]
        with torch.no_grad():
            errors = self(e[test]) - y[test]
            spread = y[test] - y[test].mean(0)
        self.r2 = 1 - (errors.square().sum() / spread.square().sum()).item()
        self.rmse = errors.square().mean().sqrt().item()
        return steps * BATCH * self.macs * 3 + len(test) * self.macs

    def state_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
