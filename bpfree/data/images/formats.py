"""Formats of picture files: those that Pillow decodes by itself, and the one way to open such a file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bpfree.errors import InputError

# Without EPS, for which Pillow starts Ghostscript, IPTC, which opens its content in any format, EPS among them, and
# BUFR, GRIB, HDF5, MPEG and WMF, which Pillow recognises but does not decode.
FORMATS = (
    *("AVIF", "BLP", "BMP", "CUR", "DCX", "DDS", "DIB", "FITS", "FLI", "FTEX", "GBR", "GIF", "ICNS", "ICO", "IM"),
    *("IMT", "JPEG", "JPEG2000", "MCIDAS", "MSP", "PCD", "PCX", "PIXAR", "PNG", "PPM", "PSD", "QOI", "SGI", "SPIDER"),
    *("SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM", "XVTHUMB"),
)


@cache
def suffixes() -> frozenset[str]:
    """Suffixes of the formats that are read, in lower case, such as ``.png``."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in (*FORMATS, "MPO"))


@contextmanager
def opened(file: Path) -> Iterator[tuple[Image.Image, bytes]]:
    """Open the image in ``file`` and read its bytes.

    Raises:
        InputError: it cannot be read, here or in the block under ``with``.
    """
    try:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            yield image, content
    except InputError:
        raise
    except Exception as error:  # for a damaged file Pillow can raise any error
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"  # that one names an object in memory
        raise InputError(f"cannot read image {file}: expected a complete PNG, JPEG or other picture{why}") from None
