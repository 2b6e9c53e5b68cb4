"""bpfree.data.inputs: raw examples in the shape and normalisation of the training data."""

import pytest
import torch

from bpfree.data.inputs import far_outside, normalised, scale_of_pictures, value_range
from bpfree.data.rows import ArrayRows
from bpfree.errors import InputError

BYTES = {"dtype": "uint8", "counts": False, "offset": [51.0], "scale": [102.0]}
FLOATS = {"dtype": "float32", "counts": False, "low": 0.0, "high": 1.0, "offset": [0.2], "scale": [0.4]}
PIXEL = (1, 1, 1)


@pytest.mark.parametrize("training", [BYTES, FLOATS], ids=["trained on bytes", "trained on floats"])
def test_bytes_and_floats_stand_for_one_brightness(training):
    """Byte 153 is a brightness of 0.6: (153 - 51) / 102 = (0.6 - 0.2) / 0.4 = 1."""
    for x in (torch.full((2, *PIXEL), 153, dtype=torch.uint8), torch.full((2, *PIXEL), 0.6, dtype=torch.float64)):
        torch.testing.assert_close(normalised(x, PIXEL, training), torch.ones(2, *PIXEL), rtol=0, atol=1e-6)


def test_counts_are_no_brightness():
    counts = {**BYTES, "counts": True}
    x = torch.full((2, 1), 153.0)
    torch.testing.assert_close(normalised(x, (1,), counts), torch.ones(2, 1), rtol=0, atol=1e-6)


def test_floats_beyond_1_are_refused_where_bytes_were_trained_on():
    with pytest.raises(InputError, match="x holds 153, and this model was trained on bytes"):
        normalised(torch.full((2, 1), 153.0), (1,), BYTES)


def test_values_stay_as_they_are_where_training_left_them():
    x = torch.tensor([[3.5], [-2.0]])
    assert torch.equal(normalised(x, (1,), None), x)


@pytest.mark.parametrize(
    ("given_shape", "shape"), [((5, 4, 3), (1, 4, 3)), ((5, 4, 3, 2), (2, 4, 3)), ((5, 2, 4, 3), (2, 4, 3))]
)
def test_axes_of_images_are_put_in_order(given_shape, shape):
    x = torch.arange(torch.Size(given_shape).numel(), dtype=torch.float32).reshape(given_shape)
    y = normalised(x, shape, None)
    assert y.shape == (5, *shape)
    example = x[4, 1, 2]  # gray without its axis, or colour with it last
    assert torch.equal(y[4, :, 1, 2].squeeze(), example) or given_shape[1:] == shape


def test_another_shape_is_refused():
    with pytest.raises(InputError, match=r"x has shape \(5, 7\): this model was trained on examples of \(6\)"):
        normalised(torch.zeros(5, 7), (6,), None)


@pytest.mark.parametrize("low", [-0.51, -1.5])
def test_floats_below_0_are_refused_where_bytes_were_trained_on(low):
    with pytest.raises(InputError, match=f"x holds {low}, and this model was trained on bytes"):
        normalised(torch.full((2, 1), low), (1,), BYTES)


@pytest.mark.parametrize(
    ("shape", "training"),
    [
        (PIXEL, {**FLOATS, "low": -1.0}),
        (PIXEL, {**FLOATS, "high": 255.0}),
        (PIXEL, {**FLOATS, "high": 0.1}),
        (PIXEL, {key: value for key, value in FLOATS.items() if key not in ("low", "high")}),  # of an older record
        ((1,), FLOATS),
    ],
    ids=["-1..1", "0..255", "0..0.1", "unknown", "table"],
)
def test_bytes_are_refused_where_floats_were_no_brightness(shape, training):
    with pytest.raises(
        InputError, match=r"x holds bytes, .* trained on floats.*--input-scale or predict\(x, transform="
    ):
        normalised(torch.zeros(2, *shape, dtype=torch.uint8), shape, training)


@pytest.mark.parametrize(
    ("low", "high", "shape", "training", "noted"),
    [
        (0.0, 1.0, PIXEL, FLOATS, False),
        (-1.0, 2.0, PIXEL, FLOATS, False),  # one range beyond, on either side
        (-1.1, 1.0, PIXEL, FLOATS, True),
        (0.0, 2.1, PIXEL, FLOATS, True),
        (0.0, 1.0, PIXEL, {**FLOATS, "high": 255.0}, True),  # a 255th of the range
        (0.0, 1.0, (1,), {**FLOATS, "high": 255.0}, False),  # a row of a table may have its values anywhere
        (0.0, 99.0, PIXEL, BYTES, False),
        (0.0, 99.0, PIXEL, {}, False),
    ],
)
def test_values_far_outside_are_told(low, high, shape, training, noted):
    note = far_outside(low, high, shape, training)
    assert (note is not None) == noted
    if note:
        assert note.startswith(f"x holds values from {low:.3g} to {high:.3g}, and training saw floats from ")


@pytest.mark.parametrize(
    ("text", "black", "white"), [("255", 0, 255), ("-1:1", -1, 1), ("1:0", 1, 0), ("0.5:2", 0.5, 2)]
)
def test_scale_of_pictures_is_a_line_from_black_to_white(text, black, white):
    transform = scale_of_pictures(text)
    expected = torch.tensor([black, black + (white - black) * 51 / 255, white], dtype=torch.float64)
    for x in (torch.tensor([0, 51, 255], dtype=torch.uint8), torch.tensor([0, 0.2, 1], dtype=torch.float64)):
        torch.testing.assert_close(transform(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("text", ["", "white", "1:2:3", ":"])
def test_another_scale_is_refused(text):
    with pytest.raises(InputError, match="is not valid: expected the value of white in training, such as 255"):
        scale_of_pictures(text)


def test_a_scale_of_pictures_refuses_other_floats():
    with pytest.raises(InputError, match="is for bytes and pictures, and x holds floats beyond"):
        scale_of_pictures("255")(torch.tensor([0.0, 3.0]))


def test_range_is_that_of_the_values():
    assert value_range(ArrayRows(torch.tensor([[1.5, -2.0], [7.0, 0.0]]))) == {"low": -2.0, "high": 7.0}


def test_range_of_pixels_is_that_of_bytes():
    """Whatever they hold, so that no file is decoded for it; bytes that count are held against what was seen."""
    pixels = torch.tensor([[3, 4]], dtype=torch.uint8)
    assert value_range(ArrayRows(pixels)) == {"low": 0.0, "high": 255.0}
    assert value_range(ArrayRows(pixels, counts=True)) == {"low": 3.0, "high": 4.0}
