"""Pictures as arrays: the one way in which training and prediction read the content of a picture file.

A picture is turned as its EXIF orientation says, composited over a background where it is transparent, and converted by
Pillow to gray or RGB with bytes 0..255. Gray of 16 bits keeps its values, as floats value / 65535; where one picture of
a set has them, the bytes of all others become floats byte / 255. Of several frames the first is read.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError

_GRAY, _COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "RGBX")
_CONVERTED = ("CMYK", "YCbCr", "LAB", "HSV")  # Pillow computes RGB from these
_TURNED = range(5, 9)  # EXIF orientations that exchange width and height


@settings
class PictureSettings:
    """Settings by which picture files become arrays."""

    background: Literal["white", "black", "gray"] = setting("white", "colour behind transparent pictures")
    size: int | None = setting(
        None, "side of the square that every picture is resized to (none: all have one size)", unit="pixels", ge=1
    )


class Facts(NamedTuple):
    """Facts from the header of a picture.

    Attributes:
        size: width and height, as it is to be viewed.
        colour: colour, not gray.
        deep: gray of 16 bits.
        remarks: changes that reading makes, in words.
    """

    size: tuple[int, int]
    colour: bool
    deep: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """Form that pictures are brought to.

    Attributes:
        channels: 1 for gray, 3 for colour.
        deep: floats 0..1 instead of bytes.
        background: colour behind transparent pictures.
        side: of the square to resize to, in pixels; None: as they are.
    """

    channels: int = 3
    deep: bool = False
    background: str = "white"
    side: int | None = None


def facts(image: Image.Image, name: object) -> Facts:
    """Facts about a picture. The pixels are decoded only where EXIF may stand behind them, as in a PNG.

    Args:
        image: as it was opened.
        name: of the picture, for messages.

    Raises:
        InputError: pixels of a kind that is not read.
    """
    mode = image.mode
    deep = mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM"))
    if not deep and mode not in (*_GRAY, *_COLOUR, *_CONVERTED):
        raise InputError(
            f"{name} has pixels of mode {mode}: expected gray or colour of 8 bits, or gray of 16; "
            f"give other values as arrays (npz:FILE)"
        )
    if deep and "transparency" in image.info:
        raise InputError(f"{name} is 16-bit gray with a transparent value: expected one without, or 8 bits")
    cut = not deep and _cut(image)
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    turned = orientation in _TURNED and image.format != "TIFF"  # Pillow turns the size of a TIFF itself
    remarks = {
        "turned as their EXIF orientation says": orientation in range(2, 9),
        "with several frames or layers, of which the first is read": getattr(image, "n_frames", 1) > 1,
        "with transparency, composited over {background}": not deep and image.has_transparency_data,
        "with 16 bits a channel, read at 8": cut,
        f"converted from {mode} to RGB": mode in _CONVERTED,
    }
    size = image.size[::-1] if turned else image.size
    words = tuple(remark for remark, holds in remarks.items() if holds)
    return Facts(size, mode not in _GRAY and not deep, deep, words)


def _cut(image: Image.Image) -> bool:
    """True if the file has more than the 8 bits a channel that Pillow decodes."""
    for codec, _, _, arguments in getattr(image, "tile", ()):
        raw_mode, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
        if re.search(r";16[BLN]$", str(raw_mode)) or (codec == "ppm" and rest[0] > 255):
            return True
    return False


def pixels(image: Image.Image, form: Form) -> np.ndarray:
    """Pixels of a picture that `facts` accepts.

    Args:
        image: as it was opened.
        form: to bring it to.

    Returns:
        ``(height, width, channels)``: bytes, or float32 in 0..1 for a deep form.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray(np.asarray(image).astype(np.float32) / 65535)
    else:
        if image.has_transparency_data:
            behind = Image.new("RGBA", image.size, form.background)
            image = Image.alpha_composite(behind, image.convert("RGBA"))
        if image.mode not in ("1", "L"):
            image = image.convert("RGB")
        image = image.convert("L" if form.channels == 1 else "RGB")
    if form.side is not None:
        image = image.resize((form.side, form.side), Image.Resampling.BILINEAR)
    array = np.array(image)
    if form.deep and array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    return np.broadcast_to(array.reshape(*array.shape[:2], -1), (*array.shape[:2], form.channels))
