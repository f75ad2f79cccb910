import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import ConvEncoder, ImageEncoder
from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import PRESETS
from fastslow.methods.metanet import MetaNetwork, example_gradients, preprocess

FEATURES, WAYS, DIM, KEY, HIDDEN = 6, 3, 5, 4, 2


def make(**sizes):
    """A small network in double precision, each weight of it moved from where it starts."""
    torch.manual_seed(0)
    encoder = ImageEncoder(ConvEncoder(channels=(FEATURES,), image_size=2), None)
    sizes = {"num_classes": WAYS, "dim": DIM, "key_dim": KEY, "hidden": HIDDEN, **sizes}
    method = MetaNetwork(encoder=encoder, **sizes).double()
    for parameter in method.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    return method


def task(n_shot=2, n_query=4, tasks=2):
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(WAYS).repeat(tasks, n_shot)
    support = torch.randn(tasks, WAYS * n_shot, FEATURES, generator=generator, dtype=torch.float64)
    return support, labels, torch.randn(tasks, n_query, FEATURES, generator=generator, dtype=torch.float64)


def prepared(gradient):
    """A gradient as d and m see it, one number after another."""
    pairs = []
    for g in gradient.flatten().tolist():
        large = abs(g) >= math.exp(-7)
        pairs.append((math.log(abs(g)) / 7, math.copysign(1, g)) if large else (-1, math.exp(7) * g))
    return torch.tensor(pairs, dtype=torch.float64)


def dense(weights, x):
    return weights[:, :-1] @ x + weights[:, -1]


def slow_reference(method, support, labels, queries):
    """Algorithm 1 for one task, example by example and weight by weight, its gradients by autograd."""
    base = [p.detach().requires_grad_() for p in method.base_slow]
    embedding = method.embedding_slow.detach().requires_grad_()
    cell = torch.nn.LSTMCell(2, HIDDEN).double()
    cell.load_state_dict(method.d.state_dict())
    states = [None] * embedding.numel()
    stored = []
    for x, y in zip(support, labels, strict=True):
        low = F.relu(method.embedding_input(x)).detach()
        loss = F.cross_entropy(dense(embedding, low), y)
        for n, pair in enumerate(prepared(torch.autograd.grad(loss, embedding)[0])):
            states[n] = cell(pair.unsqueeze(0), states[n])
        low = F.relu(method.base_input(x)).detach()
        loss = F.cross_entropy(dense(base[1], F.relu(dense(base[0], low))), y)
        gradients = torch.autograd.grad(loss, base)
        stored.append([method.m(prepared(g)).reshape(g.shape) for g in gradients])
    fast = torch.cat([method.d_output(hidden) for hidden, _ in states]).reshape(embedding.shape)

    def key(x):
        low = F.relu(method.embedding_input(x))
        return dense(method.embedding_slow, low) + dense(fast, low)

    answers = []
    for x in queries:
        cosines = torch.stack([F.cosine_similarity(key(s), key(x), dim=0) for s in support])
        attention = (method.log_attention.exp() * cosines).softmax(0)
        inner, outer = (sum(a * each[n] for a, each in zip(attention, stored, strict=True)) for n in range(2))
        low = F.relu(method.base_input(x))
        middle = F.relu(dense(method.base_slow[0], low)) + F.relu(dense(inner, low))
        answers.append(dense(method.base_slow[1], middle) + dense(outer, middle))
    return torch.stack(answers)


@pytest.mark.parametrize("ways", [5, 20])
def test_the_first_example_of_a_task_is_remembered_to_its_end(ways):
    torch.manual_seed(0)
    d = build_method(dataclasses.replace(PRESETS["default"], method="metanet", n_way=ways)).d
    inputs = torch.randn(ways, 50, 2, requires_grad=True)
    state = d.initial_state(50)
    for each in inputs:
        _, state = d(each, state)
    [slope] = torch.autograd.grad(state.hidden.square().sum(), inputs)
    assert 0.3 < float(slope[0].norm() / slope[-1].norm()) < 3


def test_gradients_are_prepared_by_hand():
    gradients = torch.tensor([math.exp(-3.5), -1.0, math.exp(-8), 0.0, -math.exp(-7.5)], dtype=torch.float64)
    expected = [[-0.5, 1], [0, -1], [-1, math.exp(-1)], [-1, 0], [-1, -math.exp(-0.5)]]
    assert_close(preprocess(gradients), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradients_of_examples_are_those_of_autograd(depth):
    generator = torch.Generator().manual_seed(depth)
    sizes = [4, 5, 6, 3]
    layers = [
        torch.randn(sizes[n + 1], sizes[n] + 1, generator=generator, dtype=torch.float64, requires_grad=True)
        for n in range(3 - depth, 3)
    ]
    inputs = torch.randn(2, 7, sizes[3 - depth], generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2, 7), generator=generator)
    found = example_gradients(layers, inputs, labels)
    assert not found.requires_grad
    for b in range(2):
        for n in range(7):
            x = inputs[b, n]
            for layer in layers[:-1]:
                x = F.relu(dense(layer, x))
            gradients = torch.autograd.grad(F.cross_entropy(dense(layers[-1], x), labels[b, n]), layers)
            assert_close(found[b, n], torch.cat([g.flatten() for g in gradients]))


@pytest.mark.parametrize("n_shot", [1, 2])
def test_it_is_the_papers_algorithm_one_example_and_one_weight_at_a_time(n_shot):
    method = make()
    support, labels, queries = task(n_shot)
    logits = method(support, labels, queries)
    for b in range(2):
        assert_close(logits[b], slow_reference(method, support[b], labels[b], queries[b]))


def test_without_fast_weights_it_is_the_base_learner_and_tells_nothing_of_the_task():
    method = make()
    support, labels, queries = task()
    torch.nn.init.zeros_(method.m[-1].weight)
    torch.nn.init.zeros_(method.m[-1].bias)
    low = F.relu(method.base_input(queries[0, 0]))
    slow = dense(method.base_slow[1], F.relu(dense(method.base_slow[0], low)))
    assert_close(method(support, labels, queries)[0, 0], slow)
    assert_close(method(support, labels.flip(1), queries)[0, 0], slow)
    assert_close(method.answer(queries, method.initial_state(2))[0, 0], slow)


def test_gradients_are_data_and_training_moves_every_weight():
    method = make()
    support, labels, queries = task()
    support.requires_grad_()
    state = method.learn(support, labels)
    # The encoder hears of support examples by their keys alone: fast weights are made of gradients, which are data.
    assert torch.autograd.grad(state.fast.sum(), support, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(state.keys.sum(), support)[0].abs().min() > 0
    method.loss(Task(support.detach(), labels, queries, torch.tensor([[0, 1, 2, 0]] * 2))).backward()
    still = [name for name, p in method.named_parameters() if not name.startswith("encoder.") and not p.grad.any()]
    assert still == []


def test_the_order_of_a_support_set_counts_for_the_embedding_alone():
    method = make()
    support, labels, _ = task()
    state, turned = method.learn(support, labels), method.learn(support.flip(1), labels.flip(1))
    assert_close(state.fast, turned.fast.flip(1))
    assert not torch.allclose(state.embedding_fast, turned.embedding_fast)


def test_there_are_as_many_key_features_as_classes_at_least():
    assert make(num_classes=7).embedding_slow.shape == (7, 8)
    assert make().embedding_slow.shape == (KEY, KEY + 1)
