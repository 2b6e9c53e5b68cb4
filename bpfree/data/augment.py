"""Augmentation: random shift, crop and flip of a batch of images, as one gather.

The image is shifted, then cropped, then flipped; read backwards, output column j comes from input column

    j -> W-1-j if flipped -> reflect(j + c) -> j - s,     s in -shift..shift,  c in -crop..crop,

and likewise for rows without the flip. A pixel that the shift moves in from outside is black: the normalised value of a
raw 0, since the images are already normalised. The padding of the crop is the image reflected at its border
(Zagoruyko & Komodakis 2016, arXiv 1605.07146); padding with black and cropping is the same as ``shift``.

Spike counts (time, channels) are shifted like an image of one channel: a sound earlier or later, lower or higher.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bpfree.errors import InputError
from bpfree.training.data import Piece, move


@dataclass(frozen=True)
class Augment:
    """Augmentation of every image of a split.

    Attributes:
        shift: largest translation in pixels.
        crop: largest offset of the crop in pixels.
        flip: mirror left and right with probability 1/2.
        black: value of a black pixel after normalisation, ``(C, 1)``.
    """

    shift: int = 0
    crop: int = 0
    flip: bool = False
    black: Tensor | None = None

    def __bool__(self) -> bool:
        """True if images are changed at all."""
        return bool(self.shift or self.crop or self.flip)

    def check(self, shape: tuple[int, ...]) -> None:
        """Check that examples of ``shape`` can be augmented.

        Raises:
            InputError: not images, or images too small for these offsets.
        """
        if not self:
            return
        if len(shape) != 3 and (len(shape) != 2 or self.crop or self.flip):
            raise InputError(
                f"crop and flip need images (channels, height, width), shift these or spike counts (time, channels); "
                f"an example here is {shape}"
            )
        for name, value in (("shift", self.shift), ("crop", self.crop)):
            if value >= min(shape[-2:]):
                raise InputError(
                    f"{name} = {value} is not valid: expected less than {min(shape[-2:])}, a side of the image"
                )

    def __call__(self, x: Tensor, piece: Piece, seed: int | None) -> Tensor:
        """Augment the part of a global batch that this process has.

        Args:
            x: images ``(B, C, H, W)`` or spike counts ``(B, T, N)``.
            piece: place of these rows in the global batch.
            seed: of the pass; None: no augmentation.

        Returns:
            The same shape.
        """
        if not self or seed is None:
            return x
        offsets = self.draw(piece.total, seed + piece.number)[piece.first : piece.first + piece.rows]
        if x.dim() == 3:
            return self.apply(x[:, None], move(offsets, x.device))[:, 0]
        return self.apply(x, move(offsets, x.device))

    def draw(self, n: int, seed: int) -> Tensor:
        """Draw random offsets.

        Args:
            n: number of images.
            seed: of the batch.

        Returns:
            ``(n, 5)`` int64 on the CPU: shift y, shift x, crop y, crop x, flip (0 or 1).
        """
        rng = torch.Generator().manual_seed(seed)
        return torch.cat(
            [
                torch.randint(-self.shift, self.shift + 1, (n, 2), generator=rng),
                torch.randint(-self.crop, self.crop + 1, (n, 2), generator=rng),
                torch.randint(0, 1 + self.flip, (n, 1), generator=rng),
            ],
            dim=1,
        )

    def apply(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Move pixels.

        Args:
            x: images ``(B, C, H, W)``.
            offsets: ``(B, 5)`` of `draw`.

        Returns:
            Images of the same shape.
        """
        height, width = x.shape[2:]
        shift_y, shift_x, crop_y, crop_x, flip = offsets[:, :, None].unbind(1)  # each (B, 1)
        column = torch.arange(width, device=x.device)[None]  # (1, W)
        column = torch.where(flip.bool(), width - 1 - column, column)  # (B, W)
        column = _reflect(column + crop_x, width) - shift_x
        row = torch.arange(height, device=x.device)[None]  # (1, H)
        row = _reflect(row + crop_y, height) - shift_y  # (B, H)
        pixel = row.clamp(0, height - 1)[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]  # (B, H, W)
        out = x.flatten(2).gather(2, pixel.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
        if not self.shift:
            return out
        inside = ((row >= 0) & (row < height))[:, None, :, None] & ((column >= 0) & (column < width))[:, None, None, :]
        black = torch.zeros(1, 1) if self.black is None else self.black
        return torch.where(inside, out, move(black.to(x.dtype), x.device)[:, :, None])


NO_AUGMENT = Augment()


def _reflect(position: Tensor, size: int) -> Tensor:
    """Mirror positions beyond the border at the border pixel, as numpy's ``reflect``."""
    position = position.abs()
    return torch.where(position >= size, 2 * (size - 1) - position, position)
