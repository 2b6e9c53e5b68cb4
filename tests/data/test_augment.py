"""Augmentation equals a slow reference, image by image in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bpfree.data import as_data
from bpfree.data.augment import Augment
from bpfree.errors import InputError
from bpfree.training.data import Piece


def reference(image, offsets, shift, crop, black):
    """Pad, cut and mirror one image ``(C, H, W)``."""
    dy, dx, cy, cx, flip = offsets
    channels, height, width = image.shape
    canvas = np.empty((channels, height + 2 * shift, width + 2 * shift), image.dtype)
    canvas[:] = np.reshape(black, (-1, 1, 1))
    canvas[:, shift + dy : shift + dy + height, shift + dx : shift + dx + width] = image  # moved down dy, right dx
    image = canvas[:, shift : shift + height, shift : shift + width]
    image = np.pad(image, ((0, 0), (crop, crop), (crop, crop)), mode="reflect")
    image = image[:, crop + cy : crop + cy + height, crop + cx : crop + cx + width]
    return image[:, :, ::-1] if flip else image


@given(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.integers(1, 3), st.integers(0, 2**31))
@settings(deadline=None)
def test_equals_the_reference(shift, crop, flip, channels, seed):
    black = torch.arange(channels, dtype=torch.float32)[:, None] - 0.5
    augment = Augment(shift, crop, flip, black)
    x = torch.rand(5, channels, 4, 6, generator=torch.Generator().manual_seed(seed))
    offsets = augment.draw(5, seed)
    expected = [
        reference(image, offset, shift, crop, black.numpy())
        for image, offset in zip(x.numpy(), offsets.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(augment.apply(x, offsets).numpy(), np.stack(expected))


def test_offsets_cover_their_whole_range_and_nothing_else():
    offsets = Augment(shift=2, crop=1, flip=True).draw(2000, 0)
    values = [sorted(set(column.tolist())) for column in offsets.unbind(1)]
    assert values == [[-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2], [-1, 0, 1], [-1, 0, 1], [0, 1]]


def test_offsets_are_uniform():
    """Chi-square of 10,000 draws over five values, 4 degrees of freedom: below 18.5 with probability 0.999."""
    counts = torch.bincount(Augment(shift=2).draw(10_000, 3)[:, 0] + 2).double()
    assert ((counts - 2000).square() / 2000).sum() < 18.5


def test_images_of_a_batch_have_offsets_of_their_own():
    assert len(set(map(tuple, Augment(shift=3).draw(100, 0).tolist()))) > 20


def test_what_a_shift_uncovers_is_black_after_normalisation():
    """A white image of bytes, standardised: the only values left are those of 255 and of 0."""
    x = torch.full((40, 3, 8, 8), 255, dtype=torch.uint8)
    x[::2, 0], x[::3, 1], x[::5, 2] = 100, 50, 20
    data = as_data((x, torch.arange(40) % 2), {"normalize": "standard", "shift": 3, "val_fraction": 0.2})
    plain = next(data.train.batches(40)).x
    moved = next(data.train.to("cpu", 10).batches(40, rng=torch.Generator())).x
    rows = data.train.rows.gather(torch.arange(len(data.train))).double() / 255
    black = -rows.mean((0, 2, 3)) / rows.std((0, 2, 3), correction=0)
    for channel in range(3):
        new = set(moved[:, channel].unique().tolist()) - set(plain[:, channel].unique().tolist())
        assert list(new) == pytest.approx([black[channel].item()], abs=1e-5)


def test_validation_and_test_are_never_augmented():
    x = torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8)
    y = torch.arange(60) % 2
    data = as_data((x, y, x, y), {"shift": 3, "flip": True})
    assert data.val.fixed
    assert data.test.fixed
    assert not data.train.fixed


def test_spike_counts_move_in_time_and_along_the_channels():
    """One spike of a sample of 9 x 7 is found at all 25 places within two steps and two channels, or nowhere else."""
    x = torch.zeros(1000, 9, 7)
    x[:, 4, 3] = 2
    moved = Augment(shift=2)(x, Piece(0, 0, 1000, 0, 1000, False), 5)
    assert moved.sum((1, 2)).eq(2).all()
    assert set(map(tuple, moved.nonzero()[:, 1:].tolist())) == {(t, n) for t in range(2, 7) for n in range(1, 6)}


def test_spike_counts_have_no_mirror():
    with pytest.raises(InputError, match="crop and flip need images"):
        as_data((torch.rand(20, 9, 7), torch.arange(20) % 2), {"flip": True})


def test_features_cannot_be_shifted():
    with pytest.raises(InputError, match="crop and flip need images"):
        as_data((torch.rand(20, 5), torch.arange(20) % 2), {"shift": 1})


@pytest.mark.parametrize("name", ["shift", "crop"])
def test_an_offset_as_large_as_the_image_is_refused(name):
    with pytest.raises(InputError, match=f"{name} = 8 is not valid: expected less than 8"):
        as_data((torch.rand(20, 1, 8, 9), torch.arange(20) % 2), {name: 8})
