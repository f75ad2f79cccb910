import pytest
import torch
from sklearn import datasets
from torch.nn import functional as F

from fastslow.data import load_digits
from fastslow.data.images.digits import digit_split
from fastslow.data.images.resize import resized
from fastslow.errors import InputError


def test_the_digits_are_scikit_learns_in_the_middle_of_blank_paper():
    data, original = load_digits(), datasets.load_digits()
    assert data.images.shape == (1797, 28, 28)
    assert data.labels.tolist() == original.target.tolist()
    assert data.class_names == tuple("0123456789")
    for side in (data.images[:, :4], data.images[:, -4:], data.images[:, :, :4], data.images[:, :, -4:]):
        assert side.max() == 0
    inner = data.images[:, 4:24, 4:24].to(torch.float32)
    small = F.interpolate(inner[:, None], (8, 8), mode="area")[:, 0]
    ours, theirs = small[:500].flatten(1), torch.from_numpy(original.images[:500]).to(torch.float32).flatten(1)
    assert torch.equal(torch.cdist(ours, theirs * 255 / 16).argmin(1), torch.arange(500))  # each is its own nearest
    assert data.images.amax((1, 2)).min() > 200


@pytest.mark.parametrize("size", [1, 8, 29, 84])
def test_any_size_will_do(size):
    assert load_digits(size).images.shape == (1797, size, size)


def test_sizes_that_are_none_are_refused():
    with pytest.raises(InputError, match="image_size is 0"):
        load_digits(0)
    with pytest.raises(InputError, match=r"image_size=14000; 1797 images fit in memory up to \d+ pixels"):
        load_digits(14_000)


def test_the_split_goes_by_name():
    split = digit_split(tuple("9876543210"))
    assert (split.train, split.validation, split.test) == ((9, 8, 7, 6, 5), (), (4, 3, 2, 1, 0))
    assert split.sha256 == digit_split(tuple("0123456789")).sha256
    with pytest.raises(InputError, match="the digits 0 to 9 were expected"):
        digit_split(("0", "1"))


def test_resizing_keeps_what_has_the_size_and_flat_grey_and_sums_what_shrinks():
    images = torch.randint(0, 256, (5, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert resized(images, 8) is images
    assert (resized(torch.full((2, 5, 9), 77, dtype=torch.uint8), 28) == 77).all()
    shrunk = resized(images, 4).to(torch.float32)
    assert (shrunk.mean((1, 2)) - images.to(torch.float32).mean((1, 2))).abs().max() < 6
    ramp = torch.arange(8, dtype=torch.uint8).mul(30).expand(1, 8, 8)
    wide = resized(ramp, 24)[0, 12].tolist()
    assert wide == sorted(wide)
    assert wide[0] <= 8
    assert wide[-1] >= 202


def test_many_images_are_resized_like_few():
    images = torch.randint(0, 256, (4100, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = resized(images, 9)
    assert torch.equal(whole[4090:], resized(images[4090:], 9))
    assert torch.equal(whole[:7], resized(images[:7], 9))
