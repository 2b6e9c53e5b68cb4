"""Seeded randomness, one stream for each purpose, so that changing one does not shift another."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator

import torch


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed for ``purpose`` under ``seed``; equal on every machine."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


_ONE = threading.RLock()


@contextlib.contextmanager
def global_scope(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside, leave them untouched outside: for operations that take no generator.

    They belong to the process, so that one thread at a time gets past here.

    Args:
        seed: of the generators.
        device: that the run computes on.
    """
    with _ONE, torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class Streams:
    """Generators by purpose: ``order`` and ``augmentation`` are fresh every epoch, ``negatives``, ``noise`` go on.

    The global state (dropout) belongs to the run's `global_scope` and is saved here too.
    """

    def __init__(self, seed: int, device: torch.device):
        self.seed, self.device = seed, device
        self._generators: dict[str, torch.Generator] = {}

    def __getitem__(self, purpose: str) -> torch.Generator:
        """The generator of ``purpose``, on the training device; its state goes on through the run."""
        if purpose not in self._generators:
            self._generators[purpose] = self._make(self.device, purpose)
        return self._generators[purpose]

    def fresh(self, purpose: str, epoch: int) -> torch.Generator:
        """A new CPU generator that depends on the seed and the arguments alone: a resume needs no state.

        Args:
            purpose: ``order``, ``augmentation``, …
            epoch: since the beginning of the run.
        """
        return self._make(torch.device("cpu"), purpose, epoch)

    def generator(self, *purpose: object) -> torch.Generator:
        """A new generator on the training device, the same in every process; the caller saves its state."""
        return self._make(self.device, "own", *purpose)

    def _make(self, device: torch.device, *purpose: object) -> torch.Generator:
        host = "cpu" if device.type == "meta" else device  # meta tensors have no values to draw
        return torch.Generator(host).manual_seed(derive(self.seed, *purpose))

    def state_dict(self) -> dict:
        state = {purpose: g.get_state() for purpose, g in self._generators.items()}
        state["global"] = torch.get_rng_state()
        if self.device.type == "cuda":
            state["global_cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: dict) -> None:
        state = dict(state)
        torch.set_rng_state(state.pop("global"))
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state.pop("global_cuda"), self.device)
        for purpose, saved in state.items():
            self[purpose].set_state(saved)
