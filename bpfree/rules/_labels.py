"""Labels within the input of Forward-Forward: in place of its first values, as in the paper, or appended to it."""

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bpfree.errors import InputError
from bpfree.functional import forward_forward as ff
from bpfree.training import contract
from bpfree.training.distributed import summed
from bpfree.training.evaluation import evaluating

if TYPE_CHECKING:
    from bpfree.training.data import Spec

LENGTH = 0.3  # tests/bench/label_length.py: 0.1 to 1 are a tie, 89.2 to 89.9 % of validation rows, 0.5 best by .4 ± .6


class Overlay(nn.Module):
    """A label in place of the first C values of an example.

    Args:
        spec: of the data.

    Attributes:
        shape: of an example with its label.

    Raises:
        InputError: more classes than values.
    """

    def __init__(self, spec: "Spec") -> None:
        super().__init__()
        self.shape, self.classes = spec.shape, spec.classes
        self.lost: Tensor | None = None  # share of the inputs' variance that the label takes the place of
        if self.classes > prod(self.shape):
            raise InputError(
                f"{self.classes} class labels do not fit into inputs of shape {self.shape}: "
                f"use label_embedding = append"
            )

    def measure(self, x: Tensor, rows: int) -> None:
        """Take from the first batch of training what the label depends on; every process calls this.

        Args:
            x: this process's part of the batch ``(B, …)``.
            rows: that count, without padding.
        """
        if self.lost is None:
            variance = x[: max(rows, 1)].flatten(1).var(0, correction=0)
            self.lost = variance[: self.classes].sum() / variance.sum()

    def join(self, x: Tensor, label: Tensor) -> Tensor:
        """Examples with a label.

        Args:
            x: examples ``(B, …)``.
            label: code ``(B, C)``, or ``(C,)`` for all of them.

        Returns:
            ``(B, *shape)``.
        """
        return ff.overlay(x, label)

    def note(self) -> str | None:
        """A line on the part of the input that is lost, if there is any."""
        share = 0.0 if self.lost is None else self.lost.item()  # NaN of inputs that do not vary at all
        if not share > 0:
            return None
        return (
            f"the label stands in place of the first {self.classes} of {prod(self.shape)} input values, which hold "
            f"{share:.2%} of the inputs' variance: label_embedding = append loses none"
        )


class Appended(nn.Module):
    """A label in front of an example, of a length that goes by the examples of the first batch.

    Args:
        spec: of the data.

    Attributes:
        shape: of an example with its label.
        length: scalar, `LENGTH` times the root mean square length of an example; 0 until the first batch.
    """

    length: Tensor

    def __init__(self, spec: "Spec") -> None:
        super().__init__()
        self.classes, self.alone = spec.classes, spec.shape
        self.shape = tuple(ff.make_room(torch.empty(1, *spec.shape), spec.classes).shape[1:])
        self.register_buffer("length", torch.zeros(()))
        self.measured = False

    def measure(self, x: Tensor, rows: int) -> None:
        if self.measured:
            return
        self.measured = True
        squares = x[:rows].flatten(1).square().sum()
        total = summed(torch.stack([squares, squares.new_tensor(float(rows))]))
        length = LENGTH * (total[0] / total[1]).sqrt().to(self.length)
        self.length.copy_(torch.where(self.length > 0, self.length, length))  # a resumed run has it already

    def join(self, x: Tensor, label: Tensor) -> Tensor:
        return ff.overlay(ff.make_room(x, self.classes), label * self.length.to(x))

    def note(self) -> str:
        return f"the label is appended to the input: inputs of {self.alone} become {self.shape}"


def embedding(choice: str, spec: "Spec", first: nn.Module | None) -> Overlay | Appended:
    """The place of the label.

    Args:
        choice: ``overlay``, ``append``, or ``auto``: overlay for images with a column for every class, else append.
        spec: of the data.
        first: the first block where the net is the user's own: ``auto`` appends only where it takes that.
    """
    if choice == "auto":
        image = len(spec.shape) == 3 and spec.classes <= spec.shape[-1]
        choice = "overlay" if image or (first and not _takes(first, Appended(spec).shape)) else "append"
    return Overlay(spec) if choice == "overlay" else Appended(spec)


def _takes(block: nn.Module, shape: tuple[int, ...]) -> bool:
    """True where ``block`` runs on examples of ``shape``."""
    x = next(block.parameters(), torch.empty(0)).new_zeros(2, *shape)
    try:
        with evaluating(block, x.device, "fp32"):
            contract.block_output(0, block, x)
    except InputError:
        return False
    return True
