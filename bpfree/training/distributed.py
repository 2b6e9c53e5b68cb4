"""Several processes that train one net (``torchrun``): who is who, and what they reduce, share and decide together.

Outside of torchrun the world is one process, and every function here leaves its arguments as they are.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world() -> tuple[int, int]:
    """(rank, number of processes) of this process; (0, 1) outside torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def is_first_process() -> bool:
    """True in the process that writes folder, record and screen; also before torchrun's processes have met."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """The process group of torchrun, for the time of the run."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
        dist.barrier()  # a thread of gloo that still held a tensor when Python ends would abort the process
    finally:
        dist.destroy_process_group()


def reduce_gradients(params: Sequence[nn.Parameter], share: float) -> Callable[[], None]:
    """Start the sum of gradients over all processes.

    Absent gradients count as zeros, so that every process sends one flat buffer of the same length.

    Args:
        params: of one owner, in the same order in every process.
        share: weight of this process: its part of the rows of the batch.

    Returns:
        A function that waits for the sum and puts it into ``.grad``.
    """
    if world()[1] == 1 or not params:
        return _nothing
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in params])
    work = dist.all_reduce(flat.mul_(share), async_op=True)

    def wait() -> None:
        work.wait()
        for p, part in zip(params, flat.split([p.numel() for p in params]), strict=True):
            p.grad = torch.empty_like(p).copy_(part.view_as(p))  # in p's own memory order, as optimizers need it

    return wait


def _nothing() -> None:
    """The wait of a single process."""


def in_any_process(*flags: bool) -> list[bool]:
    """Each flag, raised if any process raises it."""
    if world()[1] == 1:
        return list(flags)
    raised = torch.tensor(flags, dtype=torch.float32)  # on the CPU: nobody waits for a GPU
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return raised.bool().tolist()


def average_buffers(net: nn.Module) -> None:
    """Average running statistics over the processes, so that all validate and keep the same net."""
    if world()[1] > 1:
        for buffer in net.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= world()[1]


def summed(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes."""
    if world()[1] > 1:
        dist.all_reduce(value)
    return value


def from_first_process(value: Tensor) -> Tensor:
    """``value`` as the first process has it."""
    if world()[1] > 1:
        dist.broadcast(value, 0)
    return value


def gathered(value: Any) -> list[Any]:
    """The ``value`` of every process, by rank."""
    if world()[1] == 1:
        return [value]
    values: list[Any] = [None] * world()[1]
    dist.all_gather_object(values, value)
    return values
