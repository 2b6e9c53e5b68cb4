"""Ridge regression as rules use it: solved when a pass ends, from the rows that all processes have seen."""

import torch
import torch.distributed as dist
from torch import Tensor

from bpfree.errors import RunFailed
from bpfree.functional.closed_form import StreamedRidge
from bpfree.training.distributed import world


def solve(sums: StreamedRidge, ridge: float, what: str, device: torch.device) -> Tensor:
    """``W (d, C)`` of ``what`` in float64; the sums are used up. RunFailed: their matrix is singular."""
    if world()[1] > 1:
        for total in sums.sum_up(device):
            dist.all_reduce(total)
    try:
        return sums.solve(ridge)
    except torch.linalg.LinAlgError:
        raise RunFailed(f"{what} cannot be solved, its matrix is singular: try a larger --ridge than {ridge}") from None
