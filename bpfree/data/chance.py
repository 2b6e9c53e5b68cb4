"""Random numbers of other people's code: the global generators of torch, numpy and Python, seeded for a while."""

import contextlib
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch

from bpfree.training.random_streams import derive


@contextlib.contextmanager
def borrowed() -> Iterator[Callable[..., None]]:
    """Lend the global generators, and put their states back afterwards.

    They belong to the process: no other thread may draw from them meanwhile.

    Yields:
        A function that seeds all three of them by numbers: ``seed(pass, row)``.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()

    def seed(*numbers: int) -> None:
        derived = derive(*numbers)
        torch.default_generator.manual_seed(derived)
        np.random.seed(derived & 0xFFFFFFFF)
        random.seed(derived)

    try:
        yield seed
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
