"""Live memory: the bytes of all unique storages that torch operations make inside ``with`` blocks, now and at most.

What existed before (parameters, buffers, a batch, optimizer state after a first step) is not counted, so a step is
measured by running one outside, for the optimizer's state, and the next one inside::

    with LiveMemory() as memory:
        loop.learn(batch)
    memory.peak  # bytes

What was made inside counts as long as it lives, in later blocks too. Nothing of the process, its libraries or the
allocator's holes is in it, so that two runs alike have the same to the byte, which no resident peak has. Views and
in-place results share a storage and count once. Works on every device, ``meta`` included (sizes without
work). Scratch memory that one kernel takes and returns within itself is not seen.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _stored(value: Any) -> bool:
    """True for a tensor with its own storage; the parts of a sparse one were counted when they were made."""
    return isinstance(value, Tensor) and value.layout == torch.strided


class LiveMemory(TorchDispatchMode):
    """Context manager, entered as often as wanted; ``live`` and ``peak`` are bytes, and stay readable after it."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._counted: dict[int, tuple[weakref.ref, int]] = {}  # by id of the storage: it, and its bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _stored(t)}
        out = func(*args, **kwargs)
        for tensor in tree_leaves(out):
            if _stored(tensor) and id(tensor.untyped_storage()) not in inputs:
                self._count(tensor)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._counted:
            return
        self._counted[key] = (weakref.ref(storage, lambda _: self._drop(key)), storage.nbytes())
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)

    def _drop(self, key: int) -> None:
        _, size = self._counted.pop(key, (None, 0))
        self.live -= size
