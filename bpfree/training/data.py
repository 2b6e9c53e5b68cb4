"""What the training loop sees of data: a `Data` with its `Spec` and one `Source` for each split."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.training.batch import Batch


@dataclass(frozen=True)
class Spec:
    """What a data set is.

    Attributes:
        name: as the user wrote it.
        shape: of one example, channels first, for example ``(1, 28, 28)``.
        classes: number of classes; 0 when the task has none.
        class_names: one for each class, or None.
        task: ``classification``, ``reconstruction``, ``node-classification``, ``link-prediction``; a rule says which it
            serves.
        metric: what is reported and selected by: ``accuracy`` of classes, ``mse`` for reconstruction, ``roc-auc`` of
            links.
        maximize: whether more of the metric is better.
        sha256: of the decoded payload (`bpfree.data.verification`), or "" when it cannot be known (a DataLoader).
        source: where the data came from, in words, with the licence where known.
        nodes: of a graph, virtual ones included: every batch then has them all in ``x``; 0: not a graph.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    class_names: tuple[str, ...] | None
    task: str
    metric: str
    maximize: bool
    sha256: str
    source: str
    nodes: int = 0

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of what a net says of one example: a score a class, or the example itself."""
        return self.shape if self.task == "reconstruction" else (self.classes,)


@dataclass
class Data:
    """A data set ready to train on. ``test`` may be None; nothing that selects a model may read it."""

    spec: Spec
    train: "Source"
    val: "Source"
    test: "Source | None" = None

    def __post_init__(self) -> None:
        for split, source in (("training", self.train), ("validation", self.val)):
            if len(source) == 0:
                raise InputError(f"{self.spec.name}: the {split} split is empty: it needs at least one row")

    def to(self, device: torch.device | str, resident_mb: float) -> "Data":
        """Every split for ``device``; see `Source.to`."""
        test = None if self.test is None else self.test.to(device, resident_mb)
        return Data(self.spec, self.train.to(device, resident_mb), self.val.to(device, resident_mb), test)


@dataclass(frozen=True)
class Piece:
    """The rows of one global batch that one process takes.

    Attributes:
        number: of the batch within the epoch.
        begin: first row of the global batch within the epoch's order.
        total: rows of the global batch.
        first: first row of this process within the global batch.
        rows: rows of this process, at least one.
        padding: whether that one row is only there to keep the processes in step.
    """

    number: int
    begin: int
    total: int
    first: int
    rows: int
    padding: bool


def pieces(n: int, batch_size: int, start: int = 0, shard: tuple[int, int] = (0, 1)) -> Iterator[Piece]:
    """Cut ``n`` rows into global batches and each of them into equal contiguous chunks, one a process.

    A chunk has ceil(total / world) rows; the last ones may have fewer, and a process left with none repeats the last
    row of the batch as padding. The ragged last batch is kept. Batches before ``start`` are left out.
    """
    rank, world = shard
    for number, begin in enumerate(range(start * batch_size, n, batch_size), start):
        total = min(batch_size, n - begin)
        chunk = -(-total // world)
        first, stop = min(rank * chunk, total), min((rank + 1) * chunk, total)
        if first < stop:
            yield Piece(number, begin, total, first, stop - first, padding=False)
        else:
            yield Piece(number, begin, total, total - 1, 1, padding=True)


class Source(ABC):
    """One split of a data set.

    Attributes:
        shape: of one example.
        y: labels ``(N,)`` int64, or None.
        fixed: whether a row has the same ``x`` every epoch (no augmentation).
        whole: whether a pass is one batch, the same tensors every time, so that no order needs to be drawn.
        ordered: whether the order and the size of the batches are the caller's.
    """

    shape: tuple[int, ...]
    y: Tensor | None
    fixed: bool = True
    whole: bool = False
    ordered: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def to(self, device: torch.device | str, resident_mb: float) -> "Source":
        """This split for ``device``: wholly resident and normalised once if it takes at most ``resident_mb`` MiB."""

    def steps(self, batch_size: int) -> int:
        """Number of batches in one pass over all rows."""
        return -(-len(self) // batch_size)

    def prepared(self, prepare: Callable[[Batch], Batch], batch_size: int, budget: float) -> "Source | None":
        """This split with the inputs, and targets, that ``prepare`` makes of its batches.

        Args:
            prepare: gives a row the same whatever else is in its batch.
            batch_size: rows prepared at a time.
            budget: bytes that the result may take; None is returned when it would take more.
        """
        from bpfree.data.sources import TensorSource

        first = prepare(next(self.batches(1)))
        if (first.x.nbytes + (0 if first.y is None else first.y.nbytes)) * len(self) > budget:
            return None
        x, y, done = first.x.new_empty(len(self), *first.x.shape[1:]), [], 0  # joining batches would take twice that
        for part in map(prepare, self.batches(batch_size)):
            x[done : done + len(part.x)] = part.x
            y.append(part.y)
            done += len(part.x)
        return TensorSource(x, None if first.y is None else torch.cat(y))

    @abstractmethod
    def batches(
        self,
        batch_size: int,
        *,
        order: Tensor | None = None,
        start: int = 0,
        rng: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Generator[Batch, None, None]:
        """One pass over the rows.

        Args:
            batch_size: rows of a global batch, all processes together.
            order: rows to visit ``(M,)`` int64 on the CPU; None: 0..N-1.
            start: first batch to yield; the ones before it are not computed.
            rng: the CPU generator of augmentation. Exactly one number is drawn from it, when this method is called;
                batch k's draws depend on that number and k alone. To resume within an epoch, give the generator in the
                state it had before this call. None: the rows as they are, not augmented.
            shard: (rank, world size).
        """


class RowSource(Source):
    """A split whose rows can be visited in any order."""

    def batches(
        self,
        batch_size: int,
        *,
        order: Tensor | None = None,
        start: int = 0,
        rng: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Generator[Batch, None, None]:
        seed = None if rng is None else int(torch.randint(2**62, (), generator=rng))
        order = torch.arange(len(self)) if order is None else order
        return self._produce(order, pieces(len(order), batch_size, start, shard), seed)

    @abstractmethod
    def _produce(self, order: Tensor, plan: Iterator[Piece], seed: int | None) -> Generator[Batch, None, None]:
        """Yield one `Batch` for each piece of the plan."""


def pack(x: Tensor, y: Tensor | None, index: Tensor, piece: Piece) -> Batch:
    """The batch of one piece."""
    return Batch(x, y, index, piece.padding, span=(piece.first, piece.total))


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to ``device`` without waiting for it: through pinned memory on CUDA."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
