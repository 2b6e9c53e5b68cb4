"""Ridge regression as rules use it: solved when a pass ends, from the rows that all processes have seen."""

import torch
import torch.distributed as dist
from torch import Tensor

from bpfree.errors import RunFailed
from bpfree.functional.closed_form import StreamedRidge
from bpfree.training.distributed import world


def solve(sums: StreamedRidge, ridge: float, what: str, device: torch.device) -> Tensor:
    """Solve a ridge regression from the rows that all processes have seen; the sums are used up.

    Args:
        sums: Gram matrix ``(d, d)`` and products with the targets ``(d, C)``.
        ridge: lambda over the mean diagonal of the Gram matrix.
        what: name of the solution, for the message.
        device: of the reduction over processes.

    Returns:
        ``W (d, C)`` in float64.

    Raises:
        RunFailed: the matrix is singular.
    """
    if world()[1] > 1:
        for total in sums.sum_up(device):
            dist.all_reduce(total)
    try:
        return sums.solve(ridge)
    except torch.linalg.LinAlgError:
        raise RunFailed(f"{what} cannot be solved, its matrix is singular: try a larger --ridge than {ridge}") from None
