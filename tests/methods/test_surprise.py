import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import ConvEncoder, ImageEncoder
from fastslow.methods.surprise import SurpriseMemory, margin_loss


def make(num_classes=3, dim=5, **options):
    encoder = ImageEncoder(ConvEncoder(channels=(dim,), image_size=2), None).double()
    return SurpriseMemory(encoder=encoder, num_classes=num_classes, **options)


def examples(*angles):
    """Examples of one task, two features each, by their angle in degrees; not of unit length."""
    radians = torch.tensor(angles, dtype=torch.float64).deg2rad()
    return 3 * torch.stack([radians.cos(), radians.sin()], -1).unsqueeze(0)


def stored(state):
    """Angle and class of each key of the first task, as whole numbers."""
    angles = torch.atan2(state.keys[0, :, 1], state.keys[0, :, 0]).rad2deg().round().int().tolist()
    return [(angle, value) for angle, value in zip(angles, state.values[0].tolist(), strict=True) if value >= 0]


def task(n_way=3, n_shot=6, n_query=4, dim=5, spread=1.0, tasks=3):
    """Classes that overlap, so that some examples are merged, some stored and some do not surprise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.stack([torch.arange(n_way).repeat(n_shot) for _ in range(tasks)])
    labels = labels.gather(1, torch.rand(labels.shape, generator=generator).argsort(1))
    means = torch.randn(tasks, n_way, dim, generator=generator, dtype=torch.float64)
    seen = means.gather(1, labels.unsqueeze(-1).expand(-1, -1, dim))
    support = seen + spread * torch.randn(seen.shape, generator=generator, dtype=torch.float64)
    return support, labels, torch.randn(tasks, n_query, dim, generator=generator, dtype=torch.float64)


def test_what_a_memory_does_by_hand():
    method = make(2, 2, num_slots=4, surprise=0.0)
    # Both classes are new: stored. 20 is nearest to the key at 0, which is right: that key moves half way.
    state = method.learn(examples(0, 90, 20), torch.tensor([[0, 1, 0]]))
    assert stored(state) == [(10, 0), (90, 1)]
    assert state.ages[0, :2].tolist() == [0, 1]
    # 30 is nearest to the key of the other class: stored beside it, in a slot that is empty.
    state = method.learn(examples(30), torch.tensor([[1]]), state)
    assert stored(state) == [(10, 0), (90, 1), (30, 1)]
    assert state.ages[0, :3].tolist() == [1, 2, 0]
    assert_close(state.keys[:, :3].norm(dim=-1), torch.ones(1, 3, dtype=torch.float64))


def test_a_full_memory_forgets_the_key_that_was_written_longest_ago():
    method = make(4, 2, num_slots=2, surprise=0.0)
    state = method.learn(examples(0, 90, 10, 180), torch.tensor([[0, 1, 0, 2]]))
    assert stored(state) == [(5, 0), (180, 2)]  # the key at 0 was the first, but moved after the one at 90


def test_an_example_that_does_not_surprise_leaves_the_keys_alone():
    method = make(2, 2, num_slots=4, margin=0.4)  # sharpness 1: the attention is even, but for cosines
    assert method.sharpness == 1.0
    labels = torch.tensor([[0, 1]])
    wrong = torch.tensor([[1]])  # nearest to the key at 0
    share = 1 / (1 + math.e ** (math.cos(math.radians(40)) - math.cos(math.radians(50))))
    for surprise, number in ((-math.log(share) - 1e-6, 3), (-math.log(share) + 1e-6, 2)):
        method.surprise = surprise
        state = method.learn(examples(40), wrong, before := method.learn(examples(0, 90), labels))
        assert len(stored(state)) == number
        assert torch.equal(state.keys[:, :2], before.keys[:, :2])
        assert state.ages[0, :2].tolist() == [2, 1]


def reference(method, support, labels):
    """Keys, values and ages of one task by loops over plain lists."""
    keys, values, ages = [], [], []
    for example, label in zip(support, labels.tolist(), strict=True):
        query = example / example.norm()
        cosines = [float(query @ key) for key in keys]
        order = sorted(range(len(keys)), key=lambda n: -cosines[n])
        weights = {n: math.exp(method.sharpness * cosines[n]) for n in order[: method.neighbours]}
        right = sum(weight for n, weight in weights.items() if values[n] == label)
        surprise = -math.log(right / sum(weights.values())) if right else math.inf
        ages = [age + 1 for age in ages]
        if order and values[order[0]] == label:
            moved = query + keys[order[0]]
            keys[order[0]], ages[order[0]] = moved / moved.norm(), 0
        elif surprise > method.surprise:
            if len(keys) == method.num_slots:
                oldest = max(range(len(ages)), key=lambda n: ages[n])
                keys[oldest], values[oldest], ages[oldest] = query, label, 0
            else:
                keys, values, ages = [*keys, query], [*values, label], [*ages, 0]
    return torch.stack(keys), values, ages


@pytest.mark.parametrize(
    "options",
    [{}, {"num_slots": 5}, {"num_slots": 12, "neighbours": 3}, {"surprise": 0.0}, {"surprise": 4.0}, {"margin": 0.5}],
    ids=str,
)
def test_learning_agrees_with_loops(options):
    support, labels, _ = task()
    method = make(**options)
    state = method.learn(support, labels)
    for n in range(3):
        keys, values, ages = reference(method, support[n], labels[n])
        assert state.values[n].tolist() == values + [-1] * (method.num_slots - len(values))
        assert state.ages[n, : len(ages)].tolist() == ages
        assert_close(state.keys[n, : len(keys)], keys)
    assert 3 < (state.values >= 0).sum(1).max() < 18


@pytest.mark.parametrize("neighbours", [2, 5, 64])
def test_a_class_gets_the_attention_that_its_keys_get_among_the_nearest(neighbours):
    support, labels, query = task()
    method = make(num_slots=64, neighbours=neighbours)
    state = method.learn(support, labels)
    shares = method.answer(query, state).softmax(-1)
    for b in range(3):
        known = state.values[b] >= 0
        for n in range(4):
            cosines = F.cosine_similarity(state.keys[b, known], query[b, n].unsqueeze(0), dim=-1)
            order = cosines.argsort(descending=True)[:neighbours]
            attention = (method.sharpness * cosines[order]).softmax(0)
            values = state.values[b, known][order]
            assert_close(shares[b, n], torch.stack([attention[values == c].sum() for c in range(3)]))


def test_a_key_nearer_than_all_others_by_the_margin_is_heard_among_them():
    method = make()
    weights = (method.sharpness * torch.tensor([0.1] + [0.0] * 256)).softmax(0)
    assert float(weights[0]) == pytest.approx(0.2 / 1.2)


def test_the_usual_threshold_is_three_quarters_of_the_surprise_of_a_guess():
    assert make(20).surprise == pytest.approx(0.75 * math.log(20))
    assert make(20, surprise=0.5).surprise == 0.5


def test_a_class_that_was_never_shown_gets_no_attention_and_training_goes_on():
    support, labels, query = task(n_way=2)
    method = make(num_classes=4)
    query.requires_grad_()
    logits = method(support, labels, query)
    assert torch.isinf(logits[..., 2:]).all()
    F.cross_entropy(logits.flatten(0, 1), torch.zeros(12, dtype=torch.int64)).backward()
    assert torch.isfinite(query.grad).all()
    assert query.grad.abs().sum() > 0


def test_the_farthest_key_still_has_an_attention_in_single_precision():
    method = make(2, 2).float()
    state = method.learn(examples(0, 180).float(), torch.tensor([[0, 1]]))
    logits = method.answer(examples(0).float(), state)
    assert_close(logits[0, 0, 0] - logits[0, 0, 1], torch.tensor(2 * method.sharpness))


def test_no_gradient_goes_through_what_is_stored():
    support, labels, query = task()
    state = make().learn(support.requires_grad_(), labels)
    assert not state.keys.requires_grad
    assert torch.autograd.gradcheck(lambda q: make().answer(q, state), query.requires_grad_())


def test_the_loss_of_pairs_is_the_margin_between_the_nearest_wrong_and_the_right_key():
    # Cosines of the first drawing with the keys: right 0.6, wrong 0.8; of the second: right 1, wrong 0.
    queries = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    keys = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert_close(margin_loss(queries, keys, 0.1), torch.tensor((0.8 - 0.6 + 0.1 + 0.0) / 2))
    # All cosines are below zero: right -0.6 and -0.96, wrong -0.8 and -1.
    keys = torch.tensor([[-0.6, -0.8], [-0.8, -0.6]])
    queries = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert_close(margin_loss(queries, keys, 0.1), torch.tensor((0.0 + (-1 + 0.96 + 0.1)) / 2))


def test_the_encoder_is_trained_by_that_loss_both_ways():
    features = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    losses = []
    for one, other in ((0, 1), (1, 0)):
        for n in range(6):
            cosines = F.cosine_similarity(features[:, other], features[n, one].unsqueeze(0), dim=-1).tolist()
            wrong = max(cosine for m, cosine in enumerate(cosines) if m != n)
            losses.append(max(0.0, wrong - cosines[n] + 0.1))
    assert make().pair_loss(features).item() == pytest.approx(sum(losses) / 12)
    assert torch.autograd.gradcheck(make().pair_loss, features.requires_grad_())
