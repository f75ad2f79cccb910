"""Data do not depend on torch's global settings, and leave its random stream alone."""

import numpy as np
import pytest
import torch

from fastslow.data import EpisodeDataset, EpisodeSampler, load_digits, make_glyphs
from fastslow.data.augment import affine, affine_amounts
from fastslow.data.base import ClassImages


@pytest.fixture(params=["float64", "float16", "device"])
def other_default(request):
    """Another default type, or a default device on which nothing has a value."""
    if request.param == "device":
        torch.set_default_device("meta")
    else:
        torch.set_default_dtype(getattr(torch, request.param))
    yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


def glyphs():
    data = make_glyphs(num_classes=3, per_class=4, seed=2)
    return [data.images, data.labels]


def selected():
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    data = ClassImages(images, [0, 2, 1], ("a", "b", "c")).select([2, 1]).with_rotations()
    return [data.images, data.labels]


def episodes():
    sampler = EpisodeSampler(labels=[0, 0, 1, 1, 2, 2, 5, 5], n_way=2, n_shot=1, n_query=1, seed=4)
    first = sampler.sample(3)
    sampler.load_state_dict(sampler.state_dict())
    return [*first, *sampler.sample(2)]


def dataset_item():
    return list(EpisodeDataset(labels=[0, 0, 1, 1], n_way=2, n_shot=1, n_query=1, seed=4, num_tasks=3)[2])


def augmented():
    amounts = affine_amounts(3, torch.Generator("cpu").manual_seed(1))
    images = torch.linspace(0, 1, 3 * 64, dtype=torch.float32, device="cpu").view(3, 1, 8, 8)
    return [amounts, affine(images, amounts)]


def digits():
    data = load_digits(16)
    return [data.images, data.labels]


WAYS_IN = [glyphs, selected, episodes, dataset_item, augmented, digits]
EXPECTED = {make.__name__: make() for make in WAYS_IN}


@pytest.mark.parametrize("make", WAYS_IN)
def test_another_default_type_or_device_changes_nothing(make, other_default):
    made = make()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(made, EXPECTED[make.__name__], strict=True))


@pytest.mark.parametrize("make", WAYS_IN)
def test_the_global_random_stream_is_left_alone(make):
    before = torch.get_rng_state()
    make()
    assert torch.equal(torch.get_rng_state(), before)
