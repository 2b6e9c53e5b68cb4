"""Raw examples in the form in which a net was trained on them: its shape, its normalisation and its range."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bpfree.config.notes import tell
from bpfree.data import verification
from bpfree.data.rows import Normalise, Rows
from bpfree.data.tables.layout import further_rows
from bpfree.data.targets import unscaled
from bpfree.errors import InputError

if TYPE_CHECKING:
    from bpfree.training.data import Data

_DARKEST, _BRIGHTEST = -0.5, 2.0  # no float that stands for a byte is beyond, though resizing may go beyond 0..1
_NARROW = 1 / 50  # pictures that take so little of the range in training were probably scaled otherwise
_SAMPLE = 1024  # rows looked at, of a Dataset that draws them anew


def input_of(data: "Data", ranged: bool = True) -> dict[str, Any] | None:
    """Describe what a net gets of raw examples, for later predictions.

    Args:
        data: that it is trained on.
        ranged: look for the range of the raw values too, in one pass over them.

    Returns:
        Type and range of raw values, constants of (raw - offset) / scale; of a table also its columns and the values
        that stand for missing ones; the scale of the numbers to predict. None: the net gets values as they are.
    """
    source: Any = getattr(data.train, "inputs", data.train)
    if not hasattr(source, "normalise"):
        return None
    constants = {name: getattr(source.normalise, name).double().tolist() for name in ("offset", "scale")}
    kind = {"dtype": str(source.rows.dtype).removeprefix("torch."), "counts": source.rows.counts}
    seen = value_range(source.rows) if ranged else {}
    described = {**kind, **seen, **constants, "normalize": source.normalise.name}
    if data.target is not None:
        described["target"] = {name: t.tolist() for name, t in zip(("offset", "scale"), data.target, strict=True)}
    if data.table is not None:
        described["table"] = data.table
    return described


def in_units(outputs: Tensor, training: Mapping[str, Any] | None) -> Tensor:
    """Predicted numbers in the units of the data, as float64; outputs of other tasks as they are.

    Args:
        outputs: of the net ``(N, …)``.
        training: as for `normalised`.
    """
    if not (training and training.get("target")):
        return outputs
    offset, scale = (torch.tensor(training["target"][name], dtype=torch.float64) for name in ("offset", "scale"))
    return unscaled(outputs, (offset, scale))


def value_range(rows: Rows) -> dict[str, float]:
    """Range of raw values for the record, where a later prediction is held against it.

    Args:
        rows: of the training part.

    Returns:
        ``low`` and ``high``: those of the type for pixels of bytes, else those of the rows, or of a sample of rows that
        are drawn anew each time.
    """
    if rows.full_scale == 255:
        return {"low": 0.0, "high": 255.0}
    if not rows.fixed:
        rows = rows.take(torch.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).long())
    parts = (rows.gather(torch.arange(part.start, part.stop)) for part in rows.chunks(1 << 22))
    low, high = torch.tensor([[x.min().item(), x.max().item()] for x in parts], dtype=torch.float64).unbind(1)
    return {"low": low.min().item(), "high": high.max().item()}


def raw_examples(x: Any, shape: tuple[int, ...], training: Mapping[str, Any] | None) -> Tensor:
    """Read and normalise raw examples.

    Args:
        x: an array, tensor or list ``(N, …)``; of a table with named columns also a pandas DataFrame.
        shape: as for `normalised`.
        training: as for `normalised`.

    Returns:
        Float examples ``(N, *shape)``.

    Raises:
        InputError: as `normalised`.
    """
    if training and "table" in training:
        x, notes = further_rows(x, training["table"])
        for note in notes:
            tell(note)
    return normalised(verification.examples(x, "x"), shape, training)


def normalised(x: Tensor, shape: tuple[int, ...], training: Mapping[str, Any] | None) -> Tensor:
    """Examples as the net takes them.

    Args:
        x: raw examples ``(N, …)``; gray images may lack their channel axis, colour images may have it last.
        shape: of one training example, channels first.
        training: ``data.input`` of the record: type and range of the raw training values and constants of their
            normalisation; None: the net takes values as they are.

    Returns:
        Float examples ``(N, *shape)``.

    Raises:
        InputError: another shape, floats beyond 0..1 where the training data were bytes, or bytes where they were
            floats other than pictures in 0..1.
    """
    x = _shaped(x, shape)
    if training is None:
        return x.float()
    bytes_now, bytes_then = x.dtype == torch.uint8, training["dtype"] == "uint8"
    if bytes_then and not bytes_now and not training.get("counts"):
        _refuse_other_floats(x)
    if bytes_now and not bytes_then and not (len(shape) == 3 and _brightness(training)):
        raise InputError(
            f"x holds bytes, and this model was trained on floats{_text(training)}: give values as in training, with "
            f"--input-scale or predict(x, transform=…), for example --input-scale 255 or transform=lambda x: x * 1.0 "
            f"if 255 was white"
        )
    # A byte stands for a brightness of 0..1, unless it counts something.
    if bytes_now != bytes_then and not (bytes_then and training.get("counts")):
        x = x.double() * 255 if bytes_then else x.double() / 255
    if not bytes_then:
        x = x.to(getattr(torch, training["dtype"]))  # rounded as the training values were
    offset, scale = (torch.tensor(training[name], dtype=torch.float64) for name in ("offset", "scale"))
    return Normalise(offset, scale)(x.clone())


def far_outside(low: float, high: float, shape: tuple[int, ...], training: Mapping[str, Any]) -> str | None:
    """A note if floats lie far outside of the range in training, or pictures take next to nothing of it.

    Args:
        low: smallest of the raw values.
        high: the largest.
        shape: of one training example.
        training: as for `normalised`; empty: the range is not known.
    """
    if "low" not in training or training["dtype"] == "uint8":
        return None
    span = training["high"] - training["low"]
    outside = low < training["low"] - span or high > training["high"] + span
    if not outside and not (len(shape) == 3 and high - low < span * _NARROW):
        return None
    return f"x holds values from {low:.3g} to {high:.3g}, and training saw floats{_text(training)}: scale x alike"


def _refuse_other_floats(x: Tensor) -> None:
    """Refuse floats that cannot stand for bytes."""
    low, high = x.min().item(), x.max().item()
    if low < _DARKEST or high > _BRIGHTEST:
        raise InputError(
            f"x holds {high if high > _BRIGHTEST else low:g}, and this model was trained on bytes, where floats are "
            f"0..1: give 0..255 as uint8"
        )


def _brightness(training: Mapping[str, Any]) -> bool:
    """True if floats in training were a brightness of 0..1."""
    return training.get("low", -1.0) >= 0 and 0.5 < training["high"] <= 1


def _text(training: Mapping[str, Any]) -> str:
    """The range in training, where the record has it."""
    return f" from {training['low']:.3g} to {training['high']:.3g}" if "low" in training else ""


def scale_of_pictures(text: str) -> Callable[[Tensor], Tensor]:
    """Transform of bytes, or of a brightness of 0..1, to the floats that a net was trained on.

    Args:
        text: value of white in training, such as ``255``; or of black and white, such as ``-1:1``.

    Raises:
        InputError: another text; when the transform is called: floats that are no brightness.
    """
    black, colon, white = text.rpartition(":")
    try:
        low, high = float(black if colon else 0), float(white)
    except ValueError:
        raise InputError(
            f"--input-scale {text} is not valid: expected the value of white in training, such as 255, or those of "
            f"black and white, such as -1:1"
        ) from None

    def transform(x: Tensor) -> Tensor:
        bright = x.double() / 255 if x.dtype == torch.uint8 else x.double()
        if bright.min() < 0 or bright.max() > 1:
            raise InputError("--input-scale is for bytes and pictures, and x holds floats beyond 0..1: leave it out")
        return low + (high - low) * bright

    return transform


def _shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` as ``(N, *shape)``."""
    if tuple(x.shape[1:]) == shape:
        return x
    if (1, *x.shape[1:]) == shape:
        return x[:, None]
    if x.dim() == 4 and (x.shape[3], *x.shape[1:3]) == shape:
        return x.permute(0, 3, 1, 2)
    expected = ", ".join(map(str, shape))
    one = "; one example is x[None]" if tuple(x.shape) in (shape, shape[1:]) else ""
    raise InputError(f"x has shape {tuple(x.shape)}: this model was trained on examples of ({expected}){one}")
