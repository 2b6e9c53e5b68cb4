"""Picture files as arrays: equal to Pillow's own conversion, or to numpy's compositing, whatever mode and size."""

import io
import subprocess
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from bpfree.data.images.files import Form, facts, pixels
from bpfree.data.images.formats import FORMATS, suffixes
from bpfree.data.images.sets import FileRows, look
from bpfree.errors import InputError

BEHIND = {"white": 255, "black": 0, "gray": 128}
OPAQUE = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
TRANSPARENT = ("LA", "PA", "RGBA")
LOSSLESS = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16")  # modes that a TIFF keeps


@st.composite
def images(draw, modes):
    """A picture of random bytes, with a random palette where it has one."""
    mode, width, height = draw(st.sampled_from(modes)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if mode == "1":
        return Image.fromarray(rng.integers(0, 2, (height, width), np.uint8) * 255).convert("1")
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), np.uint16))
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (width, height), rng.integers(0, 256, (height, width, bands), np.uint8).tobytes())
    if mode in ("P", "PA"):
        image.putpalette(rng.integers(0, 256, 768, np.uint8).tobytes())
    return image


def composited(image, behind):
    """``colour * a + behind * (1 - a)`` in float64, of any picture with transparency."""
    rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + behind * (1 - alpha)


def viewed(pixels, orientation):
    """The pixels as a viewer shows them: quarter turns to the left, then mirrored (EXIF 2.3, 4.6.4)."""
    turns, mirror = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (3, 0), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    turned = np.rot90(pixels, turns)
    return turned[:, ::-1] if mirror else turned


@given(images(OPAQUE))
def test_colour_is_pillows_own(image):
    facts(image, "x")
    np.testing.assert_array_equal(pixels(image, Form(3)), np.asarray(image.convert("RGB")))


@given(images(("1", "L")))
def test_gray_is_pillows_own(image):
    assert not facts(image, "x").colour
    np.testing.assert_array_equal(pixels(image, Form(1))[..., 0], np.asarray(image.convert("L")))


@given(images(OPAQUE))
def test_gray_of_colour_is_pillows_own(image):
    rgb = image if image.mode in ("1", "L") else image.convert("RGB")
    np.testing.assert_array_equal(pixels(image, Form(1))[..., 0], np.asarray(rgb.convert("L")))


@given(images(TRANSPARENT), st.sampled_from(sorted(BEHIND)))
def test_transparency_is_composited(image, background):
    expected = composited(image, BEHIND[background])
    np.testing.assert_allclose(pixels(image, Form(3, background=background)), expected, rtol=0, atol=1)


@given(images(("LA",)))
def test_gray_with_transparency_stays_gray(image):
    assert not facts(image, "x").colour
    np.testing.assert_allclose(pixels(image, Form(1))[..., 0], composited(image, 255)[..., 0], rtol=0, atol=1)


@given(images(("I;16",)), st.sampled_from([1, 3]))
def test_sixteen_bits_are_a_share_of_65535(image, channels):
    assert facts(image, "x").deep
    expected = np.asarray(image)[..., None].repeat(channels, 2) / np.float64(65535)
    np.testing.assert_allclose(pixels(image, Form(channels, deep=True)), expected, rtol=1e-7)


@given(images(OPAQUE))
def test_bytes_beside_sixteen_bits_are_a_share_of_255(image):
    expected = np.asarray(image.convert("RGB")) / np.float64(255)
    np.testing.assert_allclose(pixels(image, Form(3, deep=True)), expected, rtol=1e-7)


@settings(max_examples=50)
@given(images(LOSSLESS), st.integers(1, 8), st.sampled_from(["raw", "tiff_lzw"]))
def test_a_file_is_the_turned_picture(tmp_path_factory, image, orientation, compression):
    """Through a TIFF with an EXIF orientation, header and pixels."""
    file = tmp_path_factory.mktemp("files") / "x.tif"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(file, exif=exif, compression=compression)
    deep = image.mode == "I;16"
    array = np.asarray(image)[..., None].repeat(3, 2) / np.float64(65535) if deep else composited(image, 255)
    expected = viewed(array, orientation)
    seen, _ = look(file, None)
    rows = FileRows([file], seen.size, Form(3, deep=seen.deep))
    read = rows.gather(torch.arange(1))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(read, expected, rtol=1e-6, atol=0 if deep else 1)
    assert (seen.deep, seen.size) == (deep, expected.shape[1::-1])


@pytest.mark.parametrize("mode", ["F", "I"])
def test_other_pixels_are_refused(mode):
    with pytest.raises(InputError, match=f"^x has pixels of mode {mode}: expected gray or colour of 8 bits"):
        facts(Image.new(mode, (2, 2)), "x")


def test_a_palette_with_a_transparent_colour_is_composited(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "x.png", transparency=0)
    with Image.open(tmp_path / "x.png") as opened:
        assert facts(opened, "x").remarks == ("with transparency, composited over {background}",)
        assert pixels(opened, Form(3)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_behind_the_pixels_of_a_png_counts(tmp_path, orientation):
    """As some programs write it: the chunk eXIf moved from before the pixels to the end of the file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    image.save(buffer := io.BytesIO(), "png", exif=exif)
    whole = buffer.getvalue()
    at = whole.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(whole[at : at + 4], "big")
    (tmp_path / "x.png").write_bytes(whole[:at] + whole[end:-12] + whole[at:end] + whole[-12:])
    seen, _ = look(tmp_path / "x.png", None)
    gathered = FileRows([tmp_path / "x.png"], seen.size, Form(1)).gather(torch.arange(1))[0, 0]
    np.testing.assert_array_equal(gathered.numpy(), viewed(np.asarray(image), orientation))


def sixteen_bit_colour(suffix):
    """One pixel of (256, 512, 65535) in 16 bits a channel."""
    values = np.array([256, 512, 65535], ">u2").tobytes()
    if suffix == "ppm":
        return b"P6 1 1 65535\n" + values
    header = b"\x00\x00\x00\x01\x00\x00\x00\x01\x10\x02\x00\x00\x00"
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(b"\0" + values), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
        for name, content in chunks.items()
    )


@pytest.mark.parametrize("suffix", ["ppm", "png"])
def test_colour_of_sixteen_bits_is_told(tmp_path, suffix):
    (tmp_path / f"x.{suffix}").write_bytes(sixteen_bit_colour(suffix))
    assert look(tmp_path / f"x.{suffix}", None)[0].remarks == ("with 16 bits a channel, read at 8",)


@pytest.mark.parametrize("suffix", ["png", "jpg", "jp2", "tif", "tga", "webp", "avif", "bmp", "gif", "ppm", "dds"])
def test_eight_bits_are_told_as_nothing(tmp_path, suffix):
    Image.fromarray(np.arange(75, dtype=np.uint8).reshape(5, 5, 3)).save(tmp_path / f"x.{suffix}")
    assert look(tmp_path / f"x.{suffix}", None)[0].remarks == ()


@pytest.mark.parametrize("first", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", b"\x1c\x02"])
def test_no_program_is_started(tmp_path, monkeypatch, first):
    """An EPS file, and one in the format of IPTC, which may hold one, whatever their names end in."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / "x.png").write_bytes(first)
    with pytest.raises(InputError, match=r"cannot read image .*x\.png"):
        look(tmp_path / "x.png", None)
    assert not {".eps", ".ps", ".iim", ".wmf", ".h5", ".mpg"} & suffixes()
    assert {"EPS", "IPTC"}.isdisjoint(FORMATS)
