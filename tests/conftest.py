"""For every test: one thread, and torch's global random state as it was."""

from collections.abc import Iterator

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one takes its time
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _global_random_state() -> Iterator[None]:
    """No test sees another one's random numbers."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield
