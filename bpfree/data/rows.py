"""Rows of raw examples on the host, and their normalisation: an array, or anything that is read row by row."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


class Rows(ABC):
    """Examples that can be gathered by row number.

    Attributes:
        shape: of one example, channels first.
        dtype: ``torch.uint8`` for pixels 0..255 or for counts, or a floating type for values taken as they are.
        counts: True for bytes that are counts or features, taken as they are, False for pixels.
        workers: number of threads that may gather at the same time; 0: only the thread that asks.
        fixed: True if a row is the same each time it is gathered.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    counts: bool = False
    workers: int = 2
    fixed: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def gather(self, index: Tensor) -> Tensor:
        """Gather the rows ``index`` ``(B,)`` int64 into a new tensor ``(B, *shape)``."""

    def draw(self, index: Tensor, seed: int | None) -> Tensor:
        """Gather as `gather` does; rows that are not fixed as they are under ``seed``, None: always alike."""
        return self.gather(index)

    @property
    def nbytes(self) -> int:
        """Bytes of all raw examples."""
        return len(self) * self.numel * self.dtype.itemsize

    @property
    def numel(self) -> int:
        """Numbers in one example."""
        return math.prod(self.shape)

    @property
    def full_scale(self) -> float:
        """Raw value that becomes 1: 255 for pixels, else 1."""
        return 255.0 if self.dtype == torch.uint8 and not self.counts else 1.0

    def take(self, index: Tensor) -> "Rows":
        """Select the rows ``index`` ``(M,)`` int64, without a copy."""
        return _Selected(self, index)

    def chunks(self, chunk_bytes: int) -> Iterator[slice]:
        """Slices that cover all rows, each of at most ``chunk_bytes`` of raw data (but at least one row)."""
        step = max(1, chunk_bytes // max(1, self.numel * self.dtype.itemsize))
        for first in range(0, len(self), step):
            yield slice(first, min(first + step, len(self)))


class ArrayRows(Rows):
    """Rows of one tensor in memory.

    Args:
        x: ``(N, …)``.
        counts: True for bytes that are no pixels.
    """

    def __init__(self, x: Tensor, counts: bool = False) -> None:
        self.x, self.shape, self.dtype = x, tuple(x.shape[1:]), x.dtype
        self.counts = counts

    def __len__(self) -> int:
        return len(self.x)

    def gather(self, index: Tensor) -> Tensor:
        return self.x.index_select(0, index)


class _Selected(Rows):
    """Selection from other rows."""

    def __init__(self, rows: Rows, index: Tensor) -> None:
        self.rows, self.index = rows, index
        self.shape, self.dtype, self.counts = rows.shape, rows.dtype, rows.counts
        self.workers, self.fixed = rows.workers, rows.fixed

    def __len__(self) -> int:
        return len(self.index)

    def gather(self, index: Tensor) -> Tensor:
        return self.rows.gather(self.index[index])

    def draw(self, index: Tensor, seed: int | None) -> Tensor:
        return self.rows.draw(self.index[index], seed)


class Filled(Rows):
    """Rows whose missing values are replaced.

    Args:
        rows: features ``(F,)``, with NaN where a value is missing.
        fill: ``(F,)`` float64, the value of each column that stands for a missing one.
    """

    def __init__(self, rows: Rows, fill: Tensor) -> None:
        self.rows, self.fill = rows, fill
        self.shape, self.dtype, self.counts = rows.shape, rows.dtype, rows.counts
        self.workers, self.fixed = rows.workers, rows.fixed

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, index: Tensor) -> Tensor:
        x = self.rows.gather(index)
        return torch.where(x.isnan(), self.fill.to(x.dtype), x)


@dataclass(frozen=True)
class Normalise:
    """Normalisation ``(raw - offset) / scale``, in double precision where the raw values have it.

    Attributes:
        offset: ``(C, 1, …)`` or one number.
        scale: of the same shape.
        name: of the normalisation, a key of `NORMALISE`.
    """

    offset: Tensor
    scale: Tensor
    name: str = "unit"

    def __call__(self, raw: Tensor) -> Tensor:
        """Normalise ``(B, *shape)`` to torch's default floating type; may reuse the memory of ``raw``."""
        default = torch.get_default_dtype()
        x = raw if raw.dtype == torch.float64 else raw.to(default)  # 1e9 + 1 is 1e9 in single precision
        return x.sub_(self.offset.to(x.dtype)).div_(self.scale.to(x.dtype)).to(default)

    @property
    def black(self) -> Tensor:
        """Normalised value of a raw 0, ``(C, 1)`` or ``(1, 1)``."""
        return self(torch.zeros(self.offset.shape)).reshape(-1, 1)


def automatic(rows: Rows) -> Normalise:
    """Normalise a table of features as `standard`, and everything else as `unit`."""
    return standard(rows) if is_table(rows) else unit(rows)


def is_table(rows: Rows) -> bool:
    """True for rows of features ``(F,)`` that are no pixels."""
    return len(rows.shape) == 1 and (rows.dtype != torch.uint8 or rows.counts)


def none(rows: Rows) -> Normalise:
    """Leave all values as they are, bytes as 0..255."""
    return Normalise(torch.zeros(1), torch.ones(1), "none")


def unit(rows: Rows) -> Normalise:
    """Normalise pixels to 0..1 and leave floats and counts as they are."""
    return Normalise(torch.zeros(1), torch.tensor([rows.full_scale]))


def standard(rows: Rows) -> Normalise:
    """Normalise each channel to mean 0 and standard deviation 1; a constant channel keeps its scale."""
    mean, std = statistics(rows)
    std = torch.where(std > 1e-12 * mean.abs(), std, 1.0)  # the deviation of equal numbers is below, by rounding
    shape = (-1, *[1] * (len(rows.shape) - 1))
    return Normalise((mean * rows.full_scale).view(shape), (std * rows.full_scale).view(shape), "standard")


def positive(rows: Rows) -> Normalise:
    """Normalise as `standard`, then shift all values by one number so that the smallest is 0: for amplitudes."""
    normalise = standard(rows)
    parts = (rows.gather(torch.arange(part.start, part.stop)) for part in rows.chunks(1 << 22))
    low = min(((raw.double() - normalise.offset) / normalise.scale).min().item() for raw in parts)
    return Normalise(normalise.offset + low * normalise.scale, normalise.scale, "positive")


NORMALISE = {
    "auto": automatic,
    "unit": unit,
    "standard": standard,
    "positive": positive,
    "none": none,
    "counts": unit,
}


def means(rows: Rows) -> Tensor:
    """Mean of the values of each column that are not missing, ``(F,)`` float64; 0 where all are."""
    total, count = torch.zeros(rows.numel, dtype=torch.float64), torch.zeros(rows.numel, dtype=torch.int64)
    for part in rows.chunks(1 << 22):
        x = rows.gather(torch.arange(part.start, part.stop)).double()
        total, count = total + x.nansum(0), count + (~x.isnan()).sum(0)
    return total / count.clamp(min=1)


def statistics(rows: Rows) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each channel, ``(C,)`` each in float64, bytes counted as 0..1.

    The channel is the first axis of an image ``(C, H, W)`` and of a row of features ``(F,)``; examples of any other
    shape count as one channel. Chunks are merged as in Chan, Golub & LeVeque 1983.
    """
    channels = rows.shape[0] if len(rows.shape) in (1, 3) else 1
    count, mean, squares = 0, torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for part in rows.chunks(1 << 22):
        x = rows.gather(torch.arange(part.start, part.stop)).reshape(part.stop - part.start, channels, -1).double()
        n = x.shape[0] * x.shape[2]
        part_mean = x.mean((0, 2))
        delta = part_mean - mean
        squares += (x - part_mean[:, None]).square().sum((0, 2)) + delta.square() * (count * n / (count + n))
        mean, count = mean + delta * (n / (count + n)), count + n
    return mean / rows.full_scale, (squares / count).sqrt() / rows.full_scale
