import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.episodes import EpisodeSampler
from fastslow.errors import InputError
from fastslow.protocol.fewshot import evaluate_episodes
from fastslow.protocol.hardness import Corruption, Hardness, hardness_of, num_wrong, wrong_labels

SHARES = st.sampled_from([0.1, 0.2, 0.3, 0.4, 1.0])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def right_labels(n_way=5, n_shot=5, tasks=4):
    return torch.arange(n_way).repeat(tasks, n_shot)


@given(SHARES, st.integers(2, 6), st.integers(1, 6), st.integers(0, 99))
def test_just_as_many_labels_of_each_support_set_are_wrong_as_the_share_comes_to(share, n_way, n_shot, seed):
    right = right_labels(n_way, n_shot)
    before = right.clone()
    if share * n_way * n_shot < 0.5:
        with pytest.raises(InputError, match="that is not one label"):
            wrong_labels(right, share, n_way, generator(seed))
        return
    given_out = wrong_labels(right, share, n_way, generator(seed))
    number = (given_out != right).sum(1)
    assert (number - share * n_way * n_shot).abs().max() <= 0.5 + 1e-6
    assert number.tolist() == [num_wrong(share, n_way * n_shot)] * 4
    assert 0 <= int(given_out.min()) <= int(given_out.max()) < n_way
    assert torch.equal(right, before)


@pytest.mark.parametrize(
    ("share", "size", "number"), [(0.1, 5, 1), (0.1, 25, 3), (0.3, 25, 8), (0.3, 5, 2), (0.2, 100, 20), (0.0, 5, 0)]
)
def test_halves_of_a_label_count_as_one(share, size, number):
    assert num_wrong(share, size) == number


def test_a_larger_share_keeps_the_wrong_labels_of_a_smaller_one():
    right = right_labels(tasks=50)
    none, few, more = (wrong_labels(right, share, 5, generator()) for share in (0.0, 0.2, 0.4))
    assert torch.equal(none, right)
    wrong = few != right
    assert torch.equal(more[wrong], few[wrong])
    assert (more != right).sum() == 2 * wrong.sum()


def test_every_label_and_every_other_class_is_equally_likely():
    right, tasks = right_labels(n_way=4, n_shot=2, tasks=6000), 6000
    given_out = wrong_labels(right, 0.25, 4, generator())  # two of eight

    def near(count, probability):
        return abs(int(count) - tasks * probability) < 5 * (tasks * probability * (1 - probability)) ** 0.5

    for place, label in itertools.product(range(8), range(4)):
        expected = 3 / 4 if label == right[0, place] else 1 / 4 / 3
        assert near((given_out[:, place] == label).sum(), expected)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(InputError, match=r"got wrong_labels=.*; a share from 0 to 1 was expected"):
        num_wrong(share, 10)


def test_a_share_too_small_for_one_label_and_a_task_of_one_class_are_refused():
    with pytest.raises(InputError, match=r"got wrong_labels=0.05 .* sets of 5: .* give a share of at least 0.1"):
        num_wrong(0.05, 5)
    with pytest.raises(InputError, match="got n_way=1 with wrong labels"):
        wrong_labels(torch.zeros(1, 5, dtype=torch.int64), 0.2, 1, generator())


def test_only_support_labels_are_corrupted_and_the_episodes_stay_the_same():
    labels = torch.arange(6).repeat_interleave(8)
    sampler = EpisodeSampler(labels=labels, n_way=3, n_shot=2, n_query=1, seed=5)
    corrupted, same = Corruption(0.5, n_way=3, seed=5), Corruption(0.0, n_way=3, seed=5)
    for _ in range(5):
        episode = sampler.sample()
        assert same(episode) is episode
        harder = corrupted(episode)
        assert (harder.support_labels != episode.support_labels).sum() == 3
        for name in ("support_indices", "query_indices", "query_labels"):
            assert torch.equal(getattr(harder, name), getattr(episode, name))


def test_the_seed_of_the_episodes_names_the_wrong_labels():
    sampler = EpisodeSampler(labels=torch.arange(6).repeat_interleave(8), n_way=5, n_shot=4, n_query=1, seed=0)
    episode = sampler.sample(3)
    first, again, other = (Corruption(0.3, n_way=5, seed=seed)(episode).support_labels for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def data():
    """Features of classes that overlap, two groups of four classes."""
    labels = torch.arange(8).repeat_interleave(12)
    means = torch.randn(8, 4, generator=generator())
    return means[labels] + 0.6 * torch.randn(len(labels), 4, generator=generator(1)), labels


def nearest_mean(support, labels, query):
    members = torch.nn.functional.one_hot(labels, 3).float().mT
    means = members @ support / members.sum(-1, keepdim=True).clamp_min(1)
    return -torch.cdist(query, means)


def evaluate(classify=nearest_mean, *, episodes=12, **options):
    return evaluate_episodes(
        classify, *data(), n_way=3, n_shot=3, queries=4, episodes=episodes, hardness=Hardness(**options["hardness"]),
        tasks_per_batch=options.get("tasks_per_batch", 50), seed=options.get("seed", 9),
    )  # fmt: skip


@pytest.mark.parametrize("hardness", [{"wrong_labels": 0.34}, {"groups": torch.arange(8) % 2}], ids=["labels", "group"])
def test_harder_episodes_are_named_by_their_seed_whatever_the_batch_and_fewer_are_the_first_of_more(hardness):
    accuracies = evaluate(hardness=hardness)
    assert torch.equal(accuracies, evaluate(hardness=hardness, tasks_per_batch=5))
    assert torch.equal(accuracies[:7], evaluate(hardness=hardness, episodes=7))
    assert not torch.equal(accuracies, evaluate(hardness=hardness, seed=1))
    assert not torch.equal(accuracies, evaluate(hardness={}))


def test_a_classifier_is_shown_the_wrong_labels_and_measured_by_the_right_ones():
    shown = {share: [] for share in (0.0, 0.34)}

    def watch(share):
        def classify(support, labels, query):
            shown[share].append((support, labels, query))
            return nearest_mean(support, labels, query)

        return classify

    accuracies = [evaluate(watch(share), hardness={"wrong_labels": share}) for share in shown]
    ((support, right, query),), ((same_support, wrong, same_query),) = shown.values()
    assert torch.equal(support, same_support)
    assert torch.equal(query, same_query)
    assert ((right != wrong).sum(1) == 3).all()
    assert accuracies[1].mean() < accuracies[0].mean()


def test_the_classes_of_an_episode_are_of_one_group():
    groups = torch.arange(8) % 2
    features, labels = data()
    seen = []

    def classify(support, _labels, query):
        for task in torch.cat([support, query], 1):
            classes = {int(labels[(features == example).all(1)][0]) for example in task}
            seen.append({int(groups[c]) for c in classes})
        return torch.zeros(*query.shape[:2], 3)

    evaluate(classify, hardness={"groups": groups})
    assert len(seen) == 12
    assert {len(groups) for groups in seen} == {1}
    assert set().union(*seen) == {0, 1}


def test_facts_name_only_what_is_not_as_usual():
    assert Hardness().facts(5, 5) == {}
    assert Hardness(wrong_labels=0.1).facts(5, 5) == {"wrong_labels": 0.1, "wrong_labels_each": 3}
    assert Hardness(torch.zeros(3), 1.0).facts(5, 1) == {
        "wrong_labels": 1.0, "wrong_labels_each": 5, "same_alphabet": True,
    }  # fmt: skip
    assert Hardness(rotations="episode").facts(5, 1) == {"rotations": "episode"}


def test_turned_classes_of_one_alphabet_are_classes_of_their_own_and_no_angle_is_drawn_for_them():
    names, options = ("A/B/1", "A/C/1", "A/B/2"), {"same_alphabet": True, "wrong_labels": 0.0}
    assert hardness_of(names, **options, rotations="classes").groups.tolist() == [0, 1, 0] * 4
    with pytest.raises(InputError, match="got rotations='episode' with same_alphabet"):
        hardness_of(names, **options, rotations="episode")
