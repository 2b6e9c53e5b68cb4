"""Arithmetic that must not be rounded to bfloat16, whatever the run's precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def outside_autocast(like: Tensor) -> AbstractContextManager:
    """Context in which operations on the device of ``like`` keep the precision of their inputs."""
    return torch.autocast(like.device.type, enabled=False) if torch._C._is_any_autocast_enabled() else nullcontext()
