"""New processes without the seconds that importing torch takes: forks of one server that has it imported.

The server knows nothing of bpfree, so that a fork may import it from another place, or be killed with what it holds.
"""

import multiprocessing
from typing import Any

PRELOAD = [
    *("torch", "torch._dynamo", "torch.testing", "numpy", "scipy.stats", "yaml", "pydantic", "safetensors.torch"),
    *("pytest", "hypothesis"),
]


def context() -> Any:
    """Context of `multiprocessing`, for ``Process`` and ``Pipe``."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOAD)
    return server
