"""Sources of batches: a split resident on the device, or streamed from the host by threads that read ahead."""

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from bpfree.data.augment import NO_AUGMENT, Augment
from bpfree.data.rows import Normalise, Rows
from bpfree.training.batch import Batch
from bpfree.training.data import Piece, RowSource, Source, move, pack

_CHUNK_BYTES = 1 << 20  # of raw data turned into floats at a time: a split is made resident with little more memory


class TensorSource(RowSource):
    """Split held as one tensor on the device, normalised once.

    Args:
        x: examples ``(N, …)``, normalised, on any device.
        y: labels ``(N,)`` int64, or other targets of the task, or None.
        augment: applied to the batches of a pass with a generator.
    """

    def __init__(self, x: Tensor, y: Tensor | None = None, augment: Augment = NO_AUGMENT) -> None:
        self.x, self.y, self.augment = x, None if y is None else y.to(x.device), augment
        self.shape, self.fixed = tuple(x.shape[1:]), not augment

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str, resident_mb: float) -> "TensorSource":
        # resident whatever its size: the rows are normalised already
        return TensorSource(self.x.to(device), self.y, self.augment)

    def _produce(self, order: Tensor, plan: Iterator[Piece], seed: int | None) -> Generator[Batch, None, None]:
        order = move(order, self.x.device)
        for piece in plan:
            index = order.narrow(0, piece.begin + piece.first, piece.rows)
            x = self.augment(self.x.index_select(0, index), piece, seed)
            yield pack(x, None if self.y is None else self.y.index_select(0, index), index, piece)


class StreamSource(RowSource):
    """Split that stays on the host as it was read; threads gather, decode, normalise and augment ahead of use.

    Args:
        rows: the raw examples.
        y: labels ``(N,)`` int64, or None.
        normalise: from raw to float.
        augment: applied to the batches of a pass with a generator.
        device: of the batches.
    """

    def __init__(
        self,
        rows: Rows,
        y: Tensor | None,
        normalise: Normalise,
        augment: Augment = NO_AUGMENT,
        device: torch.device | str = "cpu",
    ) -> None:
        self.rows, self.y, self.normalise, self.augment = rows, y, normalise, augment
        self.device = torch.device(device)
        self.shape, self.fixed = rows.shape, rows.fixed and not augment

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str, resident_mb: float) -> Source:
        """Make the split resident on ``device`` if it fits, else stream to it.

        Args:
            device: of the batches.
            resident_mb: largest size of the split in MiB, as floats.

        Returns:
            A `TensorSource`, or a `StreamSource` where the split is larger or its rows are not fixed.
        """
        dtype = torch.get_default_dtype()
        if not self.rows.fixed or len(self) * self.rows.numel * dtype.itemsize > resident_mb * 2**20:
            return StreamSource(self.rows, self.y, self.normalise, self.augment, device)
        x = torch.empty((len(self), *self.shape), dtype=dtype, device=device)

        def fill(part: slice) -> None:
            x[part] = self.normalise(self.rows.gather(torch.arange(part.start, part.stop))).to(x.device)

        if self.rows.workers == 0:
            list(map(fill, self.rows.chunks(_CHUNK_BYTES)))
        else:
            with ThreadPoolExecutor(self.rows.workers) as pool:
                list(pool.map(fill, self.rows.chunks(_CHUNK_BYTES)))
        return TensorSource(x, self.y, self.augment)

    def _produce(self, order: Tensor, plan: Iterator[Piece], seed: int | None) -> Generator[Batch, None, None]:
        if self.rows.workers == 0:
            yield from (self._send(self._make(order, piece, seed)) for piece in plan)
            return
        waiting: deque[Future[Batch]] = deque()  # two a thread, to bound the memory
        pool = ThreadPoolExecutor(self.rows.workers, thread_name_prefix="bpfree-data")
        try:
            for piece in plan:
                waiting.append(pool.submit(self._make, order, piece, seed))
                if len(waiting) > 2 * self.rows.workers:
                    yield self._send(waiting.popleft().result())
            while waiting:
                yield self._send(waiting.popleft().result())
        finally:  # the pass is over, failed, or its reader stopped early
            pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, order: Tensor, piece: Piece, seed: int | None) -> Batch:
        """Make one batch in host memory, pinned when it goes to a GPU."""
        index = order.narrow(0, piece.begin + piece.first, piece.rows)
        x = self.augment(self.normalise(self.rows.draw(index, seed)), piece, seed)
        batch = pack(x, None if self.y is None else self.y.index_select(0, index), index, piece)
        return _each(batch, Tensor.pin_memory) if self.device.type == "cuda" else batch

    def _send(self, batch: Batch) -> Batch:
        """Start the copy of a batch to the device."""
        if self.device.type == "cpu":
            return batch
        return _each(batch, lambda tensor: tensor.to(self.device, non_blocking=True))


def _each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Apply ``change`` to every tensor of a batch."""
    y, index = (None if t is None else change(t) for t in (batch.y, batch.index))
    return dataclasses.replace(batch, x=change(batch.x), y=y, index=index)
