import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.data.episodes import EpisodeSampler
from fastslow.data.grouped_episodes import GroupedEpisodeSampler, alphabets
from fastslow.errors import InputError

CLASSES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=12)


def labels_of(sizes, shuffle_seed=0):
    """Labels of classes with these sizes, in no order."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(shuffle_seed))]


@settings(deadline=None)
@given(CLASSES, st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(0, 99))
def test_the_classes_of_an_episode_are_different_ones_of_one_group_that_is_large_enough(
    classes, n_way, n_shot, n_query, seed
):
    sizes, groups = (list(part) for part in zip(*classes, strict=True))
    labels = labels_of(sizes, seed)
    large = [c for c, size in enumerate(sizes) if size >= n_shot + n_query]
    kept = [c for c in large if sum(groups[c] == groups[other] for other in large) >= n_way]

    def sampler():
        return GroupedEpisodeSampler(
            labels=labels, groups=groups, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed
        )

    if not kept:
        with pytest.raises(InputError, match=f"{n_way}-way episodes"):
            sampler()
        return
    made = sampler()
    assert made.num_groups == len({groups[c] for c in kept})
    assert (made.num_classes, made.num_images) == (len(kept), sum(sizes[c] for c in kept))
    assert made.classes_left_out == tuple(c for c in range(len(sizes)) if sizes[c] and c not in kept)
    assert made.num_images_left_out == len(labels) - made.num_images
    for support, support_labels, query, query_labels in zip(*made.sample(8), strict=True):
        images, names = torch.cat([support, query]), torch.cat([support_labels, query_labels])
        assert len(images.unique()) == n_way * (n_shot + n_query)
        pairs = set(zip(names.tolist(), labels[images].tolist(), strict=True))
        assert len(pairs) == n_way
        drawn = {number for _, number in pairs}
        assert len(drawn) == n_way
        assert drawn <= set(kept)
        assert len({groups[c] for c in drawn}) == 1
        assert support_labels.bincount().tolist() == [n_shot] * n_way
    again = sampler().sample(8)
    assert all(torch.equal(a, b) for a, b in zip(sampler().sample(8), again, strict=True))


GROUPS = [0, 1, 0, 1, 1, 2, 1]


def small_sampler(seed=0):
    return GroupedEpisodeSampler(labels=labels_of([4] * 7), groups=GROUPS, n_way=2, n_shot=1, n_query=1, seed=seed)


def test_groups_are_equally_likely_and_so_are_the_classes_of_each():
    labels, num_tasks = labels_of([4] * 7), 6000
    classes = labels[small_sampler().sample(num_tasks).support_indices]

    def near(count, probability):
        return abs(count - num_tasks * probability) < 5 * (num_tasks * probability * (1 - probability)) ** 0.5

    counts = [int((classes == c).sum()) for c in range(7)]
    assert counts[5] == 0  # alone in its group
    assert counts[0] == counts[2]  # both of a group of two, whenever it is drawn
    assert near(counts[0], 1 / 2)
    assert all(near(counts[c], 1 / 2 * 2 / 4) for c in (1, 3, 4, 6))


def test_resume_goes_on_with_the_next_episode():
    sampler = small_sampler()
    sampler.sample(3)
    file = io.BytesIO()
    torch.save(sampler.state_dict(), file)
    copied = pickle.loads(pickle.dumps(sampler))
    expected = sampler.sample(5)
    file.seek(0)
    resumed = small_sampler(seed=77)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for other in (resumed, copied):
        assert all(torch.equal(a, b) for a, b in zip(other.sample(5), expected, strict=True))
    assert not torch.equal(small_sampler(1).sample(9).support_indices, small_sampler(0).sample(9).support_indices)


def test_one_group_of_all_classes_leaves_none_out_and_gives_all_of_them():
    labels = labels_of([5, 3, 4])
    sizes = {"labels": labels, "n_way": 3, "n_shot": 1, "n_query": 2, "seed": 0}
    grouped, plain = GroupedEpisodeSampler(groups=[7, 7, 7], **sizes), EpisodeSampler(**sizes)
    assert (grouped.num_classes, grouped.num_images) == (plain.num_classes, plain.num_images)
    assert sorted(labels[grouped.sample().support_indices[0]].tolist()) == [0, 1, 2]


def test_refusals():
    with pytest.raises(InputError, match=r"within one group need 3 of its classes .* the largest of 2 groups has 2"):
        GroupedEpisodeSampler(labels=labels_of([4] * 4), groups=[0, 1, 0, 1], n_way=3, n_shot=1, n_query=1, seed=0)
    with pytest.raises(InputError, match="got 3 groups and a class 3; give one group per class"):
        GroupedEpisodeSampler(labels=labels_of([4] * 4), groups=[0, 1, 0], n_way=2, n_shot=1, n_query=1, seed=0)


def test_the_alphabet_of_a_character_is_the_folder_that_it_is_in():
    names = ["a/Greek/1", "a/Hebrew/1", "a/Greek/2", "b/Greek/1", "x/a/Greek/9"]
    assert alphabets(names).tolist() == [0, 1, 0, 2, 3]
    with pytest.raises(InputError, match=r"class 'c0' is of no alphabet; .* leave --same-alphabet out"):
        alphabets(["a/Greek/1", "c0"])
