"""Episodes of classes that are each turned by an angle of their own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.data.base import ClassImages, upright_name
from fastslow.data.rotated_episodes import RotatedEpisodeSampler
from fastslow.errors import InputError


def labels_of(sizes):
    """Labels of classes with these sizes, each in four rotations."""
    images = torch.zeros(sum(sizes), 2, 2, dtype=torch.uint8)
    upright = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return ClassImages(images, upright, [str(c) for c in range(len(sizes))]).with_rotations().labels


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=8).filter(any),
    st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(0, 99),
)  # fmt: skip
def test_the_classes_of_an_episode_are_different_characters_each_turned_one_way(sizes, n_way, n_shot, n_query, seed):
    labels, number = labels_of(sizes), len(sizes)
    large = {c for c, size in enumerate(sizes) if size >= n_shot + n_query}
    sizes_of_task = {"n_way": n_way, "n_shot": n_shot, "n_query": n_query, "seed": seed}
    if len(large) < n_way:
        with pytest.raises(InputError, match=f"{n_way}-way episodes"):
            RotatedEpisodeSampler(labels=labels, **sizes_of_task)
        return
    for support, names, query, query_names in zip(
        *RotatedEpisodeSampler(labels=labels, **sizes_of_task).sample(8), strict=True
    ):
        pairs = set(
            zip(torch.cat([names, query_names]).tolist(), labels[torch.cat([support, query])].tolist(), strict=True)
        )
        assert len(pairs) == n_way  # support and queries of a class are turned alike
        assert len({turned % number for _, turned in pairs}) == n_way  # no character meets itself turned
        assert {turned % number for _, turned in pairs} <= large


def test_angles_are_drawn_for_each_episode_and_equally_likely():
    labels, tasks = labels_of([4] * 5), 4000
    sampler = RotatedEpisodeSampler(labels=labels, n_way=3, n_shot=1, n_query=1, seed=0)
    counts = labels[sampler.sample(tasks).support_indices].flatten().bincount(minlength=20)
    expected = 3 * tasks / 20
    assert (counts - expected).abs().max() < 5 * expected**0.5


@pytest.mark.parametrize(
    "labels", [labels_of([4] * 3)[:-4], torch.arange(5).repeat_interleave(4), [0, 0, 2, 2, 5, 5, 6, 6]]
)
def test_classes_that_are_not_there_in_four_rotations_are_refused(labels):
    with pytest.raises(InputError, match="not each there in four rotations"):
        RotatedEpisodeSampler(labels=labels, n_way=1, n_shot=1, n_query=1, seed=0)


def test_the_name_of_a_turned_or_mirrored_class_tells_the_upright_one():
    images = ClassImages(torch.zeros(1, 2, 2, dtype=torch.uint8), [0], ["a@b"])
    names = images.with_mirrors().with_rotations().class_names
    assert len(set(names)) == 8
    assert {upright_name(name) for name in names} == {"a@b"}
