"""Ridge regression from sums that are streamed in float64, in the primal or the dual form."""

import torch
from torch import Tensor


class StreamedRidge:
    """Least squares with a ridge term, from batches of which each is seen once.

        W = (H^T H + lam I)^-1 H^T Y  =  H^T (H H^T + lam I)^-1 Y,      lam = ridge * trace(H^T H) / d

    The left form needs the d x d matrix H^T H, the right one, for fewer than d rows, the N x N matrix H H^T and all
    rows. Rows are kept until there are d of them, then turned into the sums of the left form. The ridge is relative to
    the mean square of a feature, so that the scale of the features does not matter. (arXiv 2303.09728 has no ridge.)

    Memory: 8 d^2 bytes while summing and 16 d^2 while solving, and blocks of ``ROWS`` rows; 1.0 GiB at d = 8192.

    Args:
        features: d, number of features.
        outputs: C, number of columns of Y.
    """

    ROWS = 1024  # rows turned into float64 at a time, and edge of the blocks of a matrix

    def __init__(self, features: int, outputs: int) -> None:
        self.features, self.outputs = features, outputs
        self.h: list[Tensor] = []  # rows that are not in the sums yet
        self.y: list[Tensor] = []
        self.pending = 0  # rows in the two lists
        self.gram: Tensor | None = None  # H^T H (d, d), its lower blocks only
        self.cross: Tensor | None = None  # H^T Y (d, C)

    def add(self, h: Tensor, y: Tensor) -> None:
        """Add a batch, which is kept in its own precision until it is summed.

        Args:
            h: features ``(B, d)``.
            y: targets ``(B, C)``.
        """
        self.h.append(h.detach())
        self.y.append(y)
        self.pending += len(h)
        if self.pending >= (self.features if self.gram is None else self.ROWS):
            self.sum_up(h.device)

    def sum_up(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Add the pending rows to the sums and return these: ``H^T H`` (lower blocks) and ``H^T Y``."""
        if self.gram is None or self.cross is None:
            self.gram = torch.zeros(self.features, self.features, dtype=torch.float64, device=device)
            self.cross = torch.zeros(self.features, self.outputs, dtype=torch.float64, device=device)
        if self.h:
            h, y = self._take_pending()
            for rows, targets in zip(h.split(self.ROWS), y.split(self.ROWS), strict=True):
                rows = rows.double()
                self.cross.addmm_(rows.T, targets.double())
                for i in range(0, self.features, self.ROWS):
                    self.gram[i:, i : i + self.ROWS].addmm_(rows[:, i:].T, rows[:, i : i + self.ROWS])
        return self.gram, self.cross

    def solve(self, ridge: float) -> Tensor:
        """Solve for the weights; the sums and rows are used up.

        Args:
            ridge: lam relative to the mean square of a feature.

        Returns:
            ``W (d, C)`` in float64.

        Raises:
            torch.linalg.LinAlgError: the matrix is singular: the ridge is too small, or a value is not finite.
        """
        if self.gram is not None:
            gram, cross = self.sum_up(self.gram.device)
            self.gram = self.cross = None
            return _solve(gram, cross, ridge * gram.diagonal().mean())
        h, y = self._take_pending()
        n = len(h)
        gram = torch.empty(n, n, dtype=torch.float64, device=h.device)
        for i in range(0, n, self.ROWS):
            right = h[i : i + self.ROWS].double().T
            for j in range(i, n, self.ROWS):
                torch.mm(h[j : j + self.ROWS].double(), right, out=gram[j : j + self.ROWS, i : i + self.ROWS])
        dual = _solve(gram, y.double(), ridge * gram.trace() / self.features)
        weights = torch.zeros(self.features, self.outputs, dtype=torch.float64, device=h.device)
        for rows, part in zip(h.split(self.ROWS), dual.split(self.ROWS), strict=True):
            weights.addmm_(rows.double().T, part)
        return weights

    def _take_pending(self) -> tuple[Tensor, Tensor]:
        """Remove the pending rows ``(N, d)``, ``(N, C)`` from the lists and return them."""
        h, y = torch.cat(self.h), torch.cat(self.y)
        self.h, self.y, self.pending = [], [], 0
        return h, y


def _solve(gram: Tensor, right: Tensor, lam: Tensor) -> Tensor:
    """Solve ``(gram + lam I) W = right`` by Cholesky; ``gram`` holds its lower blocks and is overwritten."""
    size = StreamedRidge.ROWS
    for i in range(0, len(gram), size):
        gram[i : i + size, i + size :] = gram[i + size :, i : i + size].T
    gram.diagonal().add_(lam)
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram))
