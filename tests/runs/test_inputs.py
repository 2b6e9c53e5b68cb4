"""bpfree.runs.inputs: raw examples in the shape and normalisation of the training data."""

import pytest
import torch

from bpfree.errors import InputError
from bpfree.runs.inputs import normalised

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
