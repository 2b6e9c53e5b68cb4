"""Physical system: a map that can only be measured.

    y = measure(x)        x (B, inputs) -> y (B, outputs)

No parameters, no gradient, fresh noise at every call, every call counted. `encode` turns numbers into signals; it is
digital and known. `respond` is the system proper, which a learning rule never sees.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.nets.physical.costs import Costs
from bpfree.nets.physical.drift import Drift
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.surrogate import Regressor
from bpfree.training.random_streams import derive

PURPOSES = ("train", "inference", "fit")


class System(ABC):
    """Base class of simulated systems and of instruments.

    Args:
        settings: of the net.
        inputs: number of values in.
        outputs: number of values out.
    """

    simulated: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True  # `respond` has a gradient, for the oracle control

    def __init__(self, settings: PhysicalSettings, inputs: int, outputs: int):
        self.settings, self.inputs, self.outputs, self.learning = settings, inputs, outputs, False
        self.scatter: dict[str, Tensor] = {}  # double precision, on the CPU: what drifts
        self.scales: dict[str, float] = {}
        self.costs, self.drift, self.surrogate = Costs(), Drift(settings, outputs), Regressor()
        self._rngs = {p: torch.Generator().manual_seed(derive(settings.system_seed, "noise", p)) for p in PURPOSES}
        self._at: dict[tuple, Tensor] = {}

    # Behaviour, overridden by each system -----------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Actuator signals for ``x (B, inputs)``; by default each row divided by its largest absolute value."""
        return x / largest(x)

    @abstractmethod
    def respond(self, e: Tensor) -> Tensor:
        """Noiseless response ``(B, outputs)`` to actuator signals."""

    def detect(self, y: Tensor, rng: torch.Generator) -> Tensor:
        """Detector readings, noise included.

        Args:
            y: noiseless response ``(B, outputs)``.
            rng: source of the noise.

        Returns:
            ``(B, outputs)``.
        """
        return y

    def details(self) -> dict[str, Any]:
        """Additional entries of the record."""
        return {}

    # Calls of a layer -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def measure(self, x: Tensor, purpose: str = "inference") -> Tensor:
        """Measure every row once, without a gradient.

        Args:
            x: inputs ``(B, inputs)``.
            purpose: account of the calls: ``train``, ``inference`` or ``fit``.

        Returns:
            ``(B, outputs)`` in the precision of ``x``.

        Raises:
            InputError: another number of inputs.
        """
        if x.shape[1:] != (self.inputs,):
            raise InputError(f"the system takes {self.inputs} values, not {tuple(x.shape[1:])}")
        self.count(purpose, len(x))
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        return self.drift(self.detect(self.respond(self.encode(exact)), self._rngs[purpose])).to(x.dtype)

    def count(self, purpose: str, rows: int) -> None:
        """Count calls.

        Args:
            purpose: account of the calls.
            rows: number of rows that are measured.
        """
        self.costs.calls[purpose] += rows

    def gradient_path(self, x: Tensor) -> Tensor:
        """A differentiable stand-in for a measurement, as ``settings.route`` says; private to the baselines."""
        if self.settings.route == "oracle":
            return self.drift(self.respond(self.encode(x)))
        if not self.surrogate.fitted:
            self.fit_surrogate()
        self.costs.macs["surrogate"] += len(x) * self.surrogate.macs * (1 + x.requires_grad)
        return self.surrogate(self.encode(x))

    def fit_surrogate(self) -> None:
        """Measure ``surrogate_pairs`` random inputs and fit the surrogate; the costs go to the system's accounts."""
        seed = derive(self.settings.system_seed, "surrogate")
        x = self.sample(self.settings.surrogate_pairs, torch.Generator().manual_seed(seed))
        y = self.measure(x, "fit")
        width = max(100, 2 * self.inputs)
        macs = self.surrogate.learn(self.encode(x), y, (width, width), self.settings.surrogate_steps, seed)
        self.costs.macs["surrogate"] += macs

    def sample(self, rows: int, rng: torch.Generator) -> Tensor:
        """Draw inputs for the fit of a surrogate: half signed, half positive, a random share of each row zero.

        Args:
            rows: R.
            rng: source of the random numbers.

        Returns:
            ``(R, inputs)``.
        """
        x = torch.randn(rows, self.inputs, generator=rng)
        x[::2] = x[::2].abs()
        return x * (torch.rand(rows, self.inputs, generator=rng) >= 0.7 * torch.rand(rows, 1, generator=rng))

    # Helpers of a system ----------------------------------------------------------------------------------------------

    def add(self, name: str, tensor: Tensor) -> None:
        """Register a part of the system that drifts.

        Args:
            name: of the part, for `at`.
            tensor: its values; their root mean square is the scale of the drift.
        """
        self.scatter[name], self.scales[name] = tensor, tensor.abs().square().mean().sqrt().item()

    def draw(self, purpose: str, *shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
        """Draw standard normal numbers from the seed of the system; complex ones have E|z|^2 = 1.

        Args:
            purpose: name of the random stream.
            *shape: of the result.
            dtype: of the result.

        Returns:
            A tensor on the CPU.
        """
        rng = torch.Generator().manual_seed(derive(self.settings.system_seed, purpose))
        return torch.randn(*shape, dtype=dtype, generator=rng)

    def at(self, name: str, like: Tensor) -> Tensor:
        """Part of the system on the device and in the precision of ``like``.

        Args:
            name: of the part.
            like: a real tensor.

        Returns:
            The part, cached until it drifts.
        """
        key = (name, like.device, like.dtype)
        if key not in self._at:
            tensor = self.scatter[name]
            to = like.dtype.to_complex() if tensor.is_complex() else like.dtype
            self._at[key] = tensor.to(like.device, to)
        return self._at[key]

    # Time and state ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Advance the drift by one training batch."""
        if self.drift.tick(self.scatter, self.scales):
            self._at.clear()

    def state_dict(self) -> dict[str, Any]:
        return {
            "costs": self.costs.state_dict(),
            "drift": self.drift.state_dict(),
            "scatter": dict(self.scatter) if self.drift.moved else {},  # else the seed gives it
            "rngs": {purpose: rng.get_state() for purpose, rng in self._rngs.items()},
            "surrogate": self.surrogate.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.costs.load_state_dict(state["costs"])
        self.drift.load_state_dict(state["drift"])
        self.scatter |= state["scatter"]
        self._at.clear()
        for purpose, rng in self._rngs.items():
            rng.set_state(state["rngs"][purpose])
        self.surrogate.load_state_dict(state["surrogate"])

    def report(self) -> dict[str, Any]:
        return {
            "system": type(self).__name__.lower(),
            "simulated": self.simulated,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "physical_calls": {p: self.costs.calls[p] for p in ("train", "inference")},
            "repeated_calls": self.costs.repeats,
            "digital_macs": {p: self.costs.macs[p] for p in ("train", "inference")},
            "surrogate": {
                "physical_calls": self.costs.calls["fit"],
                "digital_macs": self.costs.macs["surrogate"],
                "r2": self.surrogate.r2,
            },
            **self.details(),
        }


def largest(x: Tensor) -> Tensor:
    """The largest absolute value of each row ``(B, 1)``; 1 for a row of zeros."""
    top = x.abs().amax(1, keepdim=True)
    return torch.where(top > 0, top, 1.0)
