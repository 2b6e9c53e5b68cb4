"""Metrics beside the one that models are selected by: those of the task, and a function of the user's own."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from bpfree.config.resolve import Kind
from bpfree.errors import InputError
from bpfree.functional import metrics
from bpfree.training.data import Spec

METRICS = Kind("metric", "bpfree.metrics")


def own_metric(name: str) -> Callable[..., Any]:
    """The user's own metric: ``metric(scores, targets)`` of NumPy arrays is a number.

    Args:
        name: ``FILE.py:function``, or the name that another package gives it.

    Raises:
        InputError: no such file or function.
    """
    function = METRICS.load(name)
    if not callable(function):
        raise InputError(f"metric {name} is not a function: write FILE.py:function")
    return function


def beside(spec: Spec, scores: Tensor, y: Tensor, own: str | None = None) -> dict[str, Any]:
    """Metrics of predictions that are there already.

    Args:
        spec: of the data.
        scores: class scores ``(N, C)`` or numbers ``(N, T)``; of several nets or another task nothing is computed.
        y: their targets.
        own: name of the user's own metric, or None.

    Returns:
        What `bpfree.functional.metrics.of_classes` or ``of_numbers`` gives, and ``own``: the user's metric with
        ``name``, ``sha256`` of its file, ``value`` and ``error``.
    """
    values: dict[str, Any] = {}
    if scores.dim() == 2 and (spec.classes or spec.targets):
        values |= (metrics.of_classes if spec.classes else metrics.of_numbers)(scores, y)
    return values | ({} if own is None else {"own": _own(own, scores, y)})


def _own(name: str, scores: Tensor, y: Tensor) -> dict[str, Any]:
    """The user's metric; what it raises is part of the answer, since the training that it comes after is done."""
    try:
        function = own_metric(name)
        value = float(function(scores.double().cpu().numpy(), y.cpu().numpy()))
        error = None if math.isfinite(value) else f"it gives {value}"
    except Exception as raised:
        return {"name": name, "sha256": None, "value": None, "error": f"{type(raised).__name__}: {raised}"}
    return {
        "name": name,
        "sha256": METRICS.source_hash(name, function),
        "value": value if error is None else None,
        "error": error,
    }
