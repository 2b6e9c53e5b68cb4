"""Ridge regression as rules use it: solved when a pass ends, from the rows that all processes have seen."""

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from bpfree.errors import RunFailed
from bpfree.functional.closed_form import StreamedRidge
from bpfree.training.distributed import world

if TYPE_CHECKING:
    from bpfree.training.data import Spec


def target_columns(y: Tensor, spec: "Spec") -> Tensor:
    """Targets of a least-squares fit ``(B, C)``: classes ``(B,)`` in one-hot form; numbers ``(B, T)`` as they are."""
    return F.one_hot(y, spec.classes) if spec.classes else y


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
