import copy

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.methods.networks import KeyedNetwork, LiteralNetwork
from fastslow.methods.nmn import FineTunedNetwork
from methods.designs import DIM, make_default, make_paper, make_plain

NETWORKS = {
    "literal": lambda: make_plain(LiteralNetwork),
    "keyed": lambda: make_plain(KeyedNetwork),
    "paper, fast path on": make_paper,
    "default, fast path on": make_default,
}
EVERY_NETWORK = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def tasks(seed=0):
    """Two tasks of two separable classes, two shots; queries near their class."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.tensor([[2.0, 0.0, -1.0], [-2.0, 1.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 0]])
    queries = torch.tensor([[0, 1, 0], [1, 1, 0]])

    def near(labels):
        noise = torch.randn(*labels.shape, DIM, generator=generator, dtype=torch.float64)
        return means[labels] + 0.1 * noise

    return near(labels), labels, near(queries), queries


def finetune_explicitly(network, support, labels, query, *, steps, rate):
    """One task by autograd on a copy of the network: what moves are memory, controllers and decoder."""
    moved = copy.deepcopy(network)
    moving = [*moved.memory.parameters(), *moved.decoder.parameters()]

    def stream():
        state, logits = moved.initial_state(1), []
        for features, label in zip(support, labels, strict=True):
            (step,), state = moved.learn_steps(features.view(1, 1, -1), label.view(1, 1), state)
            logits.append(moved.decoder(step.activations["output"]).view(1, -1))
        return torch.cat(logits), state

    for _ in range(steps):
        grads = torch.autograd.grad(F.cross_entropy(stream()[0], labels), moving, allow_unused=True)
        with torch.no_grad():
            for parameter, grad in zip(moving, grads, strict=True):
                if grad is not None:
                    parameter -= rate * grad
    return moved.answer(query.unsqueeze(0), stream()[1])[0]


@EVERY_NETWORK
@pytest.mark.parametrize("steps", [0, 3])
def test_steps_are_gradient_descent_on_memory_controllers_and_decoder(make, steps):
    network = make()
    support, labels, query, _ = tasks()
    logits = FineTunedNetwork(network=network, steps=steps, rate=0.3)(support, labels, query)
    for b in range(2):
        expected = finetune_explicitly(network, support[b], labels[b], query[b], steps=steps, rate=0.3)
        assert_close(logits[b], expected.detach())


def test_the_plain_network_learns_labels_by_its_steps_alone():
    network = make_plain(KeyedNetwork)
    support, labels, query, query_labels = tasks()
    for steps, learned in ((0, False), (50, True)):
        method = FineTunedNetwork(network=network, steps=steps, rate=1.0)
        logits = method(support, labels, query)
        assert (logits.argmax(-1) == query_labels).all() == learned
        assert torch.equal(logits, method(support, 1 - labels, query)) != learned


@EVERY_NETWORK
def test_the_network_is_left_as_it_was(make):
    network = make()
    before = copy.deepcopy(network.state_dict())
    support, labels, query, _ = tasks()
    method = FineTunedNetwork(network=network, steps=2, rate=0.5)
    first = method(support, labels, query)
    assert torch.equal(method(support, labels, query), first)  # anew for each task
    assert not first.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_examples_shown_later_are_tuned_together_with_those_before():
    support, labels, query, _ = tasks()
    method = FineTunedNetwork(network=make_plain(LiteralNetwork), steps=2, rate=0.5)
    later = method.learn(support[:, 2:], labels[:, 2:], method.learn(support[:, :2], labels[:, :2]))
    assert torch.equal(method.answer(query, later), method(support, labels, query))


def test_it_takes_its_steps_where_gradients_are_off():
    support, labels, query, _ = tasks()
    method = FineTunedNetwork(network=make_plain(LiteralNetwork), steps=2, rate=0.5)
    expected = method(support, labels, query)
    with torch.no_grad():
        assert torch.equal(method(support, labels, query), expected)
    with torch.inference_mode():
        assert_close(method(support, labels, query).clone(), expected)
