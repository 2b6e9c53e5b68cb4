"""Data as the training loop sees them: a `Data` with its `Spec` and one `Source` for each split."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.training.batch import Batch


@dataclass(frozen=True)
class Spec:
    """The description of a data set.

    Attributes:
        name: as the user wrote it.
        shape: of one example, channels first, for example ``(1, 28, 28)``.
        classes: number of classes; 0 when the task has none.
        class_names: one for each class, or None.
        task: ``classification``, ``regression``, ``reconstruction``, ``node-classification``, ``link-prediction``; a
            rule says which it serves.
        metric: reported, and models are selected by it: ``accuracy`` of classes, ``r2`` of numbers, ``mse`` for
            reconstruction, ``roc-auc`` of links.
        maximize: more of the metric is better.
        sha256: of the decoded payload (`bpfree.data.verification`), or "" when it cannot be known (a DataLoader).
        source: origin of the data, in words, with the licence where known.
        nodes: of a graph, virtual ones included: every batch then has them all in ``x``; 0: not a graph.
        targets: numbers to predict for one example of the task ``regression``; 0 for every other task.
        normalize: what the setting of this name became (`bpfree.data.rows.NORMALISE`), or "" where it has no say.
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
    targets: int = 0
    normalize: str = ""

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of a net's output for one example: a score a class, a number a target, or the example itself."""
        return self.shape if self.task == "reconstruction" else (self.classes or self.targets,)


@dataclass
class Data:
    """A data set ready to train on.

    Attributes:
        spec: its description.
        train, val: parts to train on and to select by.
        test: part that nothing that selects a model may read; or None.
        notes: lines about what was converted, cut, left out or assumed on the way (`bpfree.config.notes`).
        target: offset and scale ``(T,)`` in float64 of the numbers that the task ``regression`` predicts: they are
            learnt as (number - offset) / scale; or None.
        table: what is needed to read further rows of the same table (`bpfree.data.tables.layout`); or None.
    """

    spec: Spec
    train: "Source"
    val: "Source"
    test: "Source | None" = None
    notes: tuple[str, ...] = ()
    target: tuple[Tensor, Tensor] | None = None
    table: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for split, source in (("training", self.train), ("validation", self.val)):
            if len(source) == 0:
                raise InputError(f"{self.spec.name}: the {split} split is empty: it needs at least one row")

    def to(self, device: torch.device | str, resident_mb: float) -> "Data":
        """Every split for ``device``; see `Source.to`.

        Args:
            device: the batches go there.
            resident_mb: MiB; a split that takes at most this stays on the device.
        """
        test = None if self.test is None else self.test.to(device, resident_mb)
        train, val = self.train.to(device, resident_mb), self.val.to(device, resident_mb)
        return replace(self, train=train, val=val, test=test)


@dataclass(frozen=True)
class Pass:
    """One pass over the rows of a source.

    Attributes:
        batch_size: rows of a global batch, all processes together.
        order: rows to visit ``(M,)`` int64 on the CPU; None: 0..N-1.
        start: first batch to yield; the ones before it are not computed.
        rng: the CPU generator of augmentation. Exactly one number is drawn from it, when the pass begins; batch k's
            draws depend on that number and k alone. To resume within an epoch, give the generator in the state it had
            before this pass. None: the rows as they are, not augmented.
        shard: (rank, world size).
    """

    batch_size: int
    order: Tensor | None = None
    start: int = 0
    rng: torch.Generator | None = None
    shard: tuple[int, int] = (0, 1)


@dataclass(frozen=True)
class Piece:
    """The rows of one global batch that one process takes.

    Attributes:
        number: of the batch within the epoch.
        begin: first row of the global batch within the epoch's order.
        total: rows of the global batch.
        first: first row of this process within the global batch.
        rows: rows of this process, at least one.
        padding: that one row is only there to keep the processes in step.
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
    row of the batch as padding. The ragged last batch is kept.

    Args:
        n: rows of the pass.
        batch_size: rows of a global batch.
        start: number of the first batch; those before it are left out.
        shard: (rank, world size).
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
    """One split of a data set; a subclass writes `visit`.

    Attributes:
        shape: of one example.
        y: labels ``(N,)`` int64, or None.
        fixed: a row has the same ``x`` every epoch (no augmentation).
        whole: a pass is one batch, the same tensors every time, so that no order needs to be drawn.
        ordered: the order and the size of the batches are the caller's.
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
        """This split for ``device``.

        Args:
            device: the batches go there.
            resident_mb: MiB; a split that takes at most this is normalised once and stays on the device.
        """

    def steps(self, batch_size: int) -> int:
        """Number of batches in one pass over all rows."""
        return -(-len(self) // batch_size)

    def prepared(self, prepare: Callable[[Batch], Batch], batch_size: int, budget: float) -> "Source | None":
        """This split with the inputs, and targets, that ``prepare`` makes of its batches.

        Args:
            prepare: gives a row the same whatever else is in its batch.
            batch_size: rows prepared at a time.
            budget: bytes that the result may take.

        Returns:
            The new split; None when it would take more than the budget.
        """
        first = prepare(next(self.batches(1)))
        if (first.x.nbytes + (0 if first.y is None else first.y.nbytes)) * len(self) > budget:
            return None
        x, y, done = first.x.new_empty(len(self), *first.x.shape[1:]), [], 0  # joining batches would take twice that
        for part in map(prepare, self.batches(batch_size)):
            x[done : done + len(part.x)] = part.x
            y.append(part.y)
            done += len(part.x)
        return PreparedSource(x, None if first.y is None else torch.cat(y))

    def batches(self, batch_size: int, **options: Any) -> Generator[Batch, None, None]:
        """One pass over the rows, with the arguments of `Pass`: ``source.batches(128, order=order, start=3)``."""
        return self.visit(Pass(batch_size, **options))

    @abstractmethod
    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        """The batches of one pass."""


class RowSource(Source):
    """A split whose rows can be visited in any order; a subclass writes `_produce`."""

    def visit(self, over: Pass) -> Generator[Batch, None, None]:
        seed = None if over.rng is None else int(torch.randint(2**62, (), generator=over.rng))
        order = torch.arange(len(self)) if over.order is None else over.order
        return self._produce(order, pieces(len(order), over.batch_size, over.start, over.shard), seed)

    @abstractmethod
    def _produce(self, order: Tensor, plan: Iterator[Piece], seed: int | None) -> Generator[Batch, None, None]:
        """Yield one `Batch` for each piece of the plan."""


class PreparedSource(RowSource):
    """A split whose inputs were computed: tensors on the device, taken as they are.

    Args:
        x: inputs ``(N, …)``.
        y: targets ``(N, …)``, or None.
    """

    def __init__(self, x: Tensor, y: Tensor | None = None) -> None:
        self.x, self.y, self.shape = x, y, tuple(x.shape[1:])

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str, resident_mb: float) -> "PreparedSource":
        """The same rows on ``device``, whatever their size."""
        return PreparedSource(self.x.to(device), None if self.y is None else self.y.to(device))

    def _produce(self, order: Tensor, plan: Iterator[Piece], seed: int | None) -> Generator[Batch, None, None]:
        order = move(order, self.x.device)
        for piece in plan:
            index = order.narrow(0, piece.begin + piece.first, piece.rows)
            y = None if self.y is None else self.y.index_select(0, index)
            yield pack(self.x.index_select(0, index), y, index, piece)


def pack(x: Tensor, y: Tensor | None, index: Tensor, piece: Piece) -> Batch:
    """The batch of one piece."""
    return Batch(x, y, index, piece.padding, span=(piece.first, piece.total))


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to ``device`` without waiting for it: through pinned memory on CUDA."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
