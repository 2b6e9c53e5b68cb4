"""Raw examples in the form in which a net was trained on them: its shape, and its normalisation."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bpfree.data.rows import Normalise
from bpfree.errors import InputError

_BRIGHTEST = 2.0  # no float that stands for a byte is larger, though resizing may go beyond 1


def normalised(x: Tensor, shape: tuple[int, ...], training: Mapping[str, Any] | None) -> Tensor:
    """Examples as the net takes them.

    Args:
        x: raw examples ``(N, …)``; gray images may lack their channel axis, colour images may have it last.
        shape: of one training example, channels first.
        training: ``data.input`` of the record: type of the raw training values and constants of their normalisation;
            None: the net takes values as they are.

    Returns:
        Float examples ``(N, *shape)``.

    Raises:
        InputError: another shape, or floats beyond 0..1 where the training data were bytes.
    """
    x = _shaped(x, shape)
    if training is None:
        return x.float()
    bytes_now, bytes_then = x.dtype == torch.uint8, training["dtype"] == "uint8"
    if bytes_then and not bytes_now and not training.get("counts") and x.max() > _BRIGHTEST:
        raise InputError(
            f"x holds {x.max():g}, and this model was trained on bytes, where floats are 0..1: give 0..255 as uint8"
        )
    # A byte stands for a brightness of 0..1, unless it counts something.
    if bytes_now != bytes_then and not (bytes_then and training.get("counts")):
        x = x.double() * 255 if bytes_then else x.double() / 255
    if not bytes_then:
        x = x.to(getattr(torch, training["dtype"]))  # rounded as the training values were
    constants = (torch.tensor(training[name], dtype=torch.float64) for name in ("offset", "scale"))
    return Normalise(*constants)(x.clone())


def _shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` as ``(N, *shape)``."""
    if tuple(x.shape[1:]) == shape:
        return x
    if (1, *x.shape[1:]) == shape:
        return x[:, None]
    if x.dim() == 4 and (x.shape[3], *x.shape[1:3]) == shape:
        return x.permute(0, 3, 1, 2)
    expected = ", ".join(map(str, shape))
    raise InputError(f"x has shape {tuple(x.shape)}: this model was trained on examples of ({expected})")
