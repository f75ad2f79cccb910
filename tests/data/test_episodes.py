import io
import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, DistributedSampler

from fastslow.data import EpisodeDataset, EpisodeSampler
from fastslow.data.checks import refuse_unless_whole
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
    with pytest.raises(InputError, match=r"got a state with \['seed'\]"):
        small_sampler().load_state_dict({"seed": 1})


def test_it_says_how_many_classes_and_images_it_uses_and_leaves_out():
    sampler = EpisodeSampler(labels=labels_of([5, 0, 2, 7, 1]), n_way=2, n_shot=1, n_query=3, seed=0)
    assert (sampler.num_classes, sampler.num_images) == (2, 12)
    assert sampler.classes_left_out == (2, 4)
    assert sampler.num_images_left_out == 3
    whole = EpisodeSampler(labels=labels_of([5, 7]), n_way=2, n_shot=1, n_query=3, seed=0)
    assert (whole.classes_left_out, whole.num_images_left_out) == ((), 0)


@pytest.mark.parametrize("convert", [list, lambda x: np.array(x, ">i8"), lambda x: torch.tensor(x, dtype=torch.int32)])
def test_labels_may_be_a_list_or_array_of_whole_numbers(convert):
    labels = labels_of([9, 7, 8, 6])
    given = EpisodeSampler(labels=convert(labels.tolist()), n_way=3, n_shot=2, n_query=1, seed=0).sample(5)
    assert all(torch.equal(a, b) for a, b in zip(given, small_sampler().sample(5), strict=True))


def test_numbers_of_classes_may_be_large_and_far_between():
    labels = torch.tensor([10**15] * 3 + [5] * 3)
    batch = EpisodeSampler(labels=labels, n_way=2, n_shot=1, n_query=2, seed=0).sample()
    assert sorted(labels[batch.support_indices[0]].tolist()) == [5, 10**15]


def test_refusals_of_other_kinds():
    labels = labels_of([5, 5])
    for name, value in (("n_way", 2.0), ("n_shot", True), ("n_query", "1"), ("seed", None)):
        with pytest.raises(InputError, match=f"{name} is {value!r}; give a whole number"):
            refuse_unless_whole(name, value, 1)
    with pytest.raises(InputError, match="of 2 classes 0 have"):
        EpisodeSampler(labels=labels, n_way=2, n_shot=2**62, n_query=2**62, seed=0)
    with pytest.raises(InputError, match="seed is"):
        EpisodeSampler(labels=labels, n_way=2, n_shot=1, n_query=1, seed=2**64)
    for state in ({"generator": torch.zeros(3, dtype=torch.uint8)}, {"generator": "x"}):
        sampler, same = small_sampler(), small_sampler()
        with pytest.raises(InputError, match="state is damaged"):
            sampler.load_state_dict(state)
        assert torch.equal(sampler.sample().support_indices, same.sample().support_indices)


def small_dataset(num_tasks=24, seed=0):
    labels = labels_of([9] * 50)
    return EpisodeDataset(labels=labels, n_way=5, n_shot=1, n_query=2, seed=seed, num_tasks=num_tasks)


def drawn(loader):
    """Each task of a loader as a tuple of all its numbers."""
    return [tuple(torch.cat(task).tolist()) for batch in loader for task in zip(*batch, strict=True)]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_workers_share_the_tasks_out_none_twice_and_together_the_same(num_workers):
    expected = [tuple(torch.cat(task).tolist()) for task in small_dataset()]
    assert len(set(expected)) == len(expected) == 24
    loader = DataLoader(small_dataset(), batch_size=4, num_workers=num_workers)
    assert drawn(loader) == expected
    assert drawn(loader) == expected  # a second pass is the same: another seed or larger num_tasks gives new ones


@pytest.mark.slow
def test_workers_that_are_started_anew_draw_the_same():
    loader = DataLoader(small_dataset(8), batch_size=2, num_workers=1, multiprocessing_context="spawn")
    assert drawn(loader) == [tuple(torch.cat(task).tolist()) for task in small_dataset(8)]


def test_a_copied_sampler_goes_on_with_the_next_episode():
    sampler = small_sampler()
    sampler.sample(3)
    copied = pickle.loads(pickle.dumps(sampler))
    assert all(torch.equal(a, b) for a, b in zip(copied.sample(5), sampler.sample(5), strict=True))


def test_processes_that_share_a_training_draw_different_tasks():
    halves = [
        drawn(DataLoader(small_dataset(), batch_size=4, sampler=DistributedSampler(small_dataset(), 2, rank)))
        for rank in (0, 1)
    ]
    assert not set(halves[0]) & set(halves[1])
    assert set(halves[0]) | set(halves[1]) == set(drawn(DataLoader(small_dataset(), batch_size=4)))


def test_tasks_of_a_dataset_depend_on_seed_and_number_alone():
    few, many, other = small_dataset(3), small_dataset(), small_dataset(seed=1)
    assert (len(few), len(many)) == (3, 24)
    for i in (2, 0, 1):
        assert all(torch.equal(a, b) for a, b in zip(few[i], many[i], strict=True))
        assert not torch.equal(few[i].support_indices, other[i].support_indices)
    task = many[7]
    assert task.support_indices.shape == task.support_labels.shape == (5,)
    assert task.query_indices.shape == task.query_labels.shape == (10,)
    again = pickle.loads(pickle.dumps(many))[7]
    assert all(torch.equal(a, b) for a, b in zip(task, again, strict=True))
    with pytest.raises(IndexError, match="got task 24; there are tasks 0 to 23"):
        many[24]
    with pytest.raises(InputError, match="num_tasks is 0"):
        small_dataset(0)
    with pytest.raises(InputError, match="seed is -1"):
        small_dataset(seed=-1)


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
