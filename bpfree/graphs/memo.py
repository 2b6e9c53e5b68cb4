"""A memory of results that follow from fixed tensors and graphs."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

_KEPT = 4  # of the loss, and of predictions on each part of the data


class Memo:
    """Results of pure functions, kept under the very objects that they were computed from.

    A result is found again only for the same tensors and graphs (they are held, so that no other can take their place)
    at the same version, which every in-place change of a tensor raises, a loaded state included. An optimizer's fused
    step does not raise it, so everything is forgotten when ``scope``, the phase, is another object: within it the
    sources must not be trained.
    """

    def __init__(self) -> None:
        self.scope: Any = None
        self.kept: dict[tuple, tuple[Sequence[Any], Any]] = {}

    def __call__(self, scope: Any, kind: str, sources: Sequence[Any], compute: Callable[[], Any]) -> Any:
        """The result of ``compute``, without gradients, from now or from before.

        Args:
            scope: the phase.
            kind: of result.
            sources: tensors and graphs that it follows from.
            compute: makes it.
        """
        if scope is not self.scope:
            self.scope, self.kept = scope, {}
        key = (kind, *((id(source), getattr(source, "_version", 0)) for source in sources))
        if key not in self.kept:
            while len(self.kept) >= _KEPT:
                del self.kept[next(iter(self.kept))]
            with torch.no_grad():
                self.kept[key] = (sources, compute())
        return self.kept[key][1]
