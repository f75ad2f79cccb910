import math

import pytest
import torch
from torch.testing import assert_close

from fastslow.data.augment import affine, affine_amounts


def images(num=3, size=8, seed=0):
    return torch.rand(num, 1, size, size, generator=torch.Generator().manual_seed(seed))


def amounts(num=3, **columns):
    """Zeros but for some columns."""
    names = ("angle", "shear", "scale_x", "scale_y", "shift_x", "shift_y")
    result = torch.zeros(num, 6)
    for name, value in columns.items():
        result[:, names.index(name)] = value
    return result


def test_nothing_changes_nothing():
    assert_close(affine(images(), amounts()), images(), atol=1e-5, rtol=0)


def test_a_quarter_turn():
    turned = affine(images(), amounts(angle=1), rotation=math.pi / 2)
    assert_close(turned, torch.rot90(images(), 1, (2, 3)), atol=1e-4, rtol=0)
    back = affine(images(), amounts(angle=-1), rotation=math.pi / 2)
    assert_close(back, torch.rot90(images(), -1, (2, 3)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("column", "axis"), [("shift_x", 3), ("shift_y", 2)])
def test_a_shift_is_in_half_widths_along_its_own_axis_with_zeros_from_outside(column, axis):
    # A quarter of a half width of 4 pixels: one pixel.
    shifted = affine(images(), amounts(**{column: 1.0}), shift=0.25)
    size = images().shape[axis]
    assert_close(shifted.narrow(axis, 0, size - 1), images().narrow(axis, 1, size - 1), atol=1e-5, rtol=0)
    assert shifted.narrow(axis, size - 1, 1).abs().max() < 1e-5


@pytest.mark.parametrize(("column", "axis"), [("scale_x", 3), ("scale_y", 2)])
def test_a_scale_is_along_its_own_axis(column, axis):
    # A bar of ink across the image, at twice the step: half as wide, and as long as before.
    bar = torch.zeros(1, 1, 8, 8)
    bar.narrow(axis, 2, 4).fill_(1)
    scaled = affine(bar, amounts(1, **{column: 1.0}), scale=math.log(2))
    expected = torch.zeros(8)
    expected[3:5] = 1
    assert_close(scaled[0, 0].amax(3 - axis), expected, atol=1e-5, rtol=0)
    other = affine(bar, amounts(1, **{{"scale_x": "scale_y", "scale_y": "scale_x"}[column]: -1.0}), scale=math.log(2))
    assert_close(other, bar, atol=1e-5, rtol=0)


def test_a_shear_leans_an_upright_bar_and_keeps_its_middle():
    bar = torch.zeros(1, 1, 9, 9)
    bar[..., 4] = 1
    leaning = affine(bar, amounts(1, shear=1.0), shear=0.5)[0, 0]
    columns = leaning.argmax(1)
    assert columns[4] == 4
    assert columns[0] - columns[4] == columns[4] - columns[8] == 2


def test_each_image_has_amounts_of_its_own():
    some = amounts()
    some[1, 0] = 3.0
    changed = affine(images(), some)
    assert_close(changed[[0, 2]], images()[[0, 2]], atol=1e-5, rtol=0)
    assert not torch.allclose(changed[1], images()[1], atol=0.05)


def test_typical_amounts_keep_the_ink_where_it_can_be_read():
    drawn = torch.zeros(64, 1, 28, 28)
    drawn[:, :, 8:20, 13:15] = 1
    changed = affine(drawn, affine_amounts(64, torch.Generator().manual_seed(0)))
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-5
    assert_close(changed.mean(), drawn.mean(), rtol=0.1, atol=0)
    assert (changed - drawn).abs().flatten(1).amax(1).min() > 0.05


def test_a_seed_names_the_amounts_and_they_are_standard_normal():
    drawn = affine_amounts(5000, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, affine_amounts(5000, torch.Generator().manual_seed(1)))
    assert not torch.equal(drawn, affine_amounts(5000, torch.Generator().manual_seed(2)))
    assert drawn.shape == (5000, 6)
    assert_close(drawn.mean(0), torch.zeros(6), atol=0.08, rtol=0)
    assert_close(drawn.std(0), torch.ones(6), atol=0.08, rtol=0)


def test_the_images_are_left_alone_and_their_dtype_kept():
    before = images().double()
    after = affine(before, amounts(angle=1.0))
    assert after.dtype == torch.float64
    assert torch.equal(before, images().double())
