import io
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.data import EpisodeSampler
from fastslow.errors import InputError

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=12)


def labels_of(sizes, shuffle_seed=0):
    """Labels of classes with these sizes, in no order."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(shuffle_seed))]


@settings(deadline=None)
@given(SIZES, st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_every_episode_is_what_was_asked_for(sizes, n_way, n_shot, n_query, num_tasks, seed):
    labels = labels_of(sizes, seed)
    large_enough = [c for c, size in enumerate(sizes) if size >= n_shot + n_query]

    def sampler():
        return EpisodeSampler(labels=labels, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed)

    if len(large_enough) < n_way:
        with pytest.raises(InputError, match=f"{len(large_enough)} have as many"):
            sampler()
        return
    batch = sampler().sample(num_tasks)
    assert batch.support_indices.shape == batch.support_labels.shape == (num_tasks, n_way * n_shot)
    assert batch.query_indices.shape == batch.query_labels.shape == (num_tasks, n_way * n_query)
    for support, support_labels, query, query_labels in zip(*batch, strict=True):
        images = torch.cat([support, query])
        assert len(images.unique()) == len(images)  # nothing twice, so support and query set are disjoint
        assert support_labels.bincount(minlength=n_way).tolist() == [n_shot] * n_way
        assert query_labels.bincount(minlength=n_way).tolist() == [n_query] * n_way
        class_of = dict(zip(support_labels.tolist(), labels[support].tolist(), strict=True))
        assert len(set(class_of.values())) == n_way  # one class a label
        assert set(class_of.values()) <= set(large_enough)
        assert [class_of[label] for label in support_labels.tolist()] == labels[support].tolist()
        assert [class_of[label] for label in query_labels.tolist()] == labels[query].tolist()
    again = sampler().sample(num_tasks)
    assert all(torch.equal(first, second) for first, second in zip(batch, again, strict=True))


def small_sampler(seed=0):
    return EpisodeSampler(labels=labels_of([9, 7, 8, 6]), n_way=3, n_shot=2, n_query=1, seed=seed)


def test_another_seed_gives_other_episodes_and_global_randomness_is_left_alone():
    state = torch.get_rng_state()
    assert not torch.equal(small_sampler(0).sample(9)[0], small_sampler(1).sample(9)[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_resume_goes_on_with_the_next_episode():
    sampler = small_sampler()
    sampler.sample(3)
    file = io.BytesIO()
    torch.save(sampler.state_dict(), file)
    expected = sampler.sample(5)
    file.seek(0)
    resumed = small_sampler(seed=77)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(resumed.sample(5), expected, strict=True))


def test_all_choices_are_equally_likely():
    """Classes, images, labels and places in the stream: each count within five standard deviations."""
    labels, num_tasks = labels_of([6, 6, 4]), 6000
    batch = EpisodeSampler(labels=labels, n_way=2, n_shot=2, n_query=1, seed=0).sample(num_tasks)

    def near(count, probability, draws=num_tasks):
        return abs(count - draws * probability) < 5 * (draws * probability * (1 - probability)) ** 0.5

    used = torch.cat([batch.support_indices, batch.query_indices], 1)
    for image, label in enumerate(labels.tolist()):
        size = 4 if label == 2 else 6
        assert near((used == image).any(1).sum(), 2 / 3 * 3 / size)
        assert near((batch.query_indices == image).any(1).sum(), 2 / 3 * 1 / size)
    for place in range(4):
        assert near(batch.support_labels[:, place].sum(), 1 / 2)
        classes = labels[batch.support_indices[:, place]]
        assert all(near((classes == c).sum(), 1 / 3) for c in range(3))
        named_zero = classes[batch.support_labels[:, place] == 0]
        assert all(near((named_zero == c).sum(), 1 / 3, len(named_zero)) for c in range(3))
    assert near(batch.query_labels[:, 0].sum(), 1 / 2)


def test_refusals():
    labels = labels_of([5, 5, 3])
    with pytest.raises(InputError, match=r"need 3 classes with at least 1 \+ 4 images .* of 3 classes 2 have"):
        EpisodeSampler(labels=labels, n_way=3, n_shot=1, n_query=4, seed=0)
    for name in ("n_way", "n_shot", "n_query"):
        sizes = {"n_way": 2, "n_shot": 1, "n_query": 1} | {name: 0}
        with pytest.raises(InputError, match=f"{name} is 0"):
            EpisodeSampler(labels=labels, seed=0, **sizes)
    with pytest.raises(InputError, match="num_tasks is -1"):
        small_sampler().sample(-1)
    with pytest.raises(InputError, match="the labels hold -1"):
        EpisodeSampler(labels=labels - 1, n_way=2, n_shot=1, n_query=1, seed=0)
    with pytest.raises(InputError, match="of 0 classes 0 have"):
        EpisodeSampler(labels=labels[:0], n_way=1, n_shot=1, n_query=1, seed=0)
    with pytest.raises(InputError, match=r"\['seed'\] came"):
        small_sampler().load_state_dict({"seed": 1})


def test_it_is_quick():
    """32 tasks of 20-way 5-shot out of 4800 classes take a few ms; the bound is for a busy machine."""
    labels = torch.arange(4800).repeat_interleave(20)
    sampler = EpisodeSampler(labels=labels, n_way=20, n_shot=5, n_query=15, seed=0)
    durations = []
    for _ in range(5):
        begin = time.perf_counter()
        sampler.sample(32)
        durations.append(time.perf_counter() - begin)
    assert min(durations) < 0.1
