"""Items of Datasets and DataLoaders: a pair (example, label), a longer tuple, or a dictionary of fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpfree.errors import InputError, unknown

INPUTS = ("x", "input", "inputs", "image", "images", "img", "pixel_values", "features", "data")
LABELS = ("y", "label", "labels", "target", "targets", "class")
_PICTURES = {"1": "L", "L": "L", "RGB": "RGB"}  # modes of Pillow -> the mode they are read in


@dataclass(frozen=True)
class Fields:
    """The two fields of an item that are learnt from.

    Attributes:
        input: name or place of the example.
        label: name or place of the label.
        notes: lines about what was assumed and what is left out.
    """

    input: str
    label: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, item: Any, name: str, input: str | None, label: str | None) -> "Fields":
        """Choose the fields of a first item.

        Args:
            item: any value.
            name: for messages.
            input: name or place of the example; None: the first of a tuple, or the one with a usual name.
            label: name or place of the label; None: the second of a pair, or the one with a usual name.

        Raises:
            InputError: no such fields, or no telling which they are.
        """
        fields = _fields(item, name)
        for wanted in filter(None, (input, label)):
            if wanted not in fields:
                raise unknown(f"field of {name}", wanted, fields)
        named = isinstance(item, Mapping)
        if label is None:
            label = _only(fields, LABELS) if named else "1" if len(fields) == 2 and input in (None, "0") else None
        if input is None and label is not None:
            rest = [field for field in fields if field != label]
            input = (rest[0] if len(rest) == 1 else _only(rest, INPUTS)) if named else rest[0]
        if input is None or label is None:
            kind = f"has the fields {', '.join(fields)}" if named else f"has {len(fields)} parts"
            example = "label_field = label" if named else "label_field = 1"
            raise InputError(f"{name} {kind}: say which are example and label with input_field and {example}")
        left = [field for field in fields if field not in (input, label)]
        if not left and not named:
            return cls(input, label)
        rest_text = f"; left out: {', '.join(left)}" if left else ""
        return cls(input, label, (f"an item's example is its field {input}, its label {label}{rest_text}",))

    def pair(self, item: Any, name: str) -> tuple[Any, Any]:
        """Example and label of an item.

        Args:
            item: any value.
            name: for messages.

        Raises:
            InputError: an item without these fields.
        """
        fields = _fields(item, name)
        try:
            return fields[self.input], fields[self.label]
        except KeyError:
            raise InputError(f"{name} lacks field {self.input} or {self.label}, which the first item has") from None


def _fields(item: Any, name: str) -> dict[str, Any]:
    """Fields of an item by name, or by place."""
    if isinstance(item, Mapping):
        fields = {str(key): value for key, value in item.items()}
    elif isinstance(item, Sequence) and not isinstance(item, str | bytes):
        fields = {str(place): value for place, value in enumerate(item)}
    else:
        fields = {}
    if len(fields) < 2:
        raise InputError(f"{name} is not a pair (x, y): expected one example and its label")
    return fields


def _only(fields: Sequence[str] | Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The only one of ``fields`` that is among ``names``."""
    known = [field for field in fields if field.lower() in names]
    return known[0] if len(known) == 1 else None


def example(x: Any, name: str) -> Tensor:
    """One example, or a batch of them, as a tensor; a picture of Pillow's as ``(channels, height, width)`` bytes.

    Args:
        x: tensor, array, nested list of numbers, or picture.
        name: for messages.

    Raises:
        InputError: anything else.
    """
    if isinstance(x, Tensor):
        return x.detach().cpu()
    if is_picture(x):
        if x.mode not in _PICTURES:
            raise InputError(f"{name} is a picture of mode {x.mode}: convert it to L (gray) or RGB in the dataset")
        pixels = np.array(x.convert(_PICTURES[x.mode]))  # (H, W) or (H, W, 3)
        return torch.from_numpy(np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)))
    if isinstance(x, np.ndarray | np.generic | list | tuple):
        try:
            array = np.asarray(x)
        except ValueError:
            raise InputError(f"{name} has rows of different shapes: expected one shape for all") from None
        if array.dtype.kind in "biuf":
            return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))
    raise InputError(f"{name} is a {type(x).__name__}: expected a tensor or array (give the dataset a transform)")


def is_picture(x: Any) -> bool:
    """True for a picture of Pillow's, which is not imported for it."""
    return type(x).__module__.partition(".")[0] == "PIL" and hasattr(x, "convert")


def label(y: Any) -> Any:
    """One label as plain Python or numpy has it."""
    if isinstance(y, Tensor):
        y = y.detach().cpu()
        return y.item() if y.numel() == 1 else y.numpy()
    return y.reshape(-1)[0] if isinstance(y, np.ndarray) and y.size == 1 else y
