import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.network import MemoryNetwork, NeuralMemory
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.methods.episodic import CONTROLLERS, EpisodicLearner
from fastslow.methods.finetune import finetune_classifier

DIM, CLASSES = 3, 2
ON_AND_OFF = pytest.mark.parametrize("fast_controllers", [(), CONTROLLERS], ids=["fast path off", "fast path on"])


def make(*, fast_controllers=(), ready=True, **memory):
    torch.manual_seed(0)
    memory = NeuralMemory(input_size=DIM, dim=DIM, num_slots=4, **memory)
    # An encoder that would change the features, to see that it is not asked.
    network = MemoryNetwork(encoder=nn.Linear(DIM, DIM), memory=memory, num_outputs=CLASSES)
    predictors = [GradientPredictor(dim=DIM, target_size=CLASSES, hidden_size=4) for _ in range(3)]
    for predictor in predictors:
        if ready:
            nn.init.normal_(predictor.head.weight)
    options = {"fast_controllers": fast_controllers}
    return EpisodicLearner(network=network, predictors=Predictors(*predictors), **options).double()


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


def finetune_explicitly(learner, support, labels, query, *, steps, rate):
    """One task by autograd on a copy of the learner: what moves are memory, controllers and decoder."""
    moved = copy.deepcopy(learner)
    moving = [p for p in (*moved.network.memory.parameters(), *moved.network.decoder.parameters()) if p.requires_grad]
    for _ in range(steps):
        state, logits = moved.initial_state(1), []
        for features, label in zip(support, labels, strict=True):
            step, state = moved.learn_step(features.unsqueeze(0), label.unsqueeze(0), state)
            logits.append(moved.network.decoder(step.activations["output"]))
        loss = F.cross_entropy(torch.cat(logits), labels)
        grads = torch.autograd.grad(loss, moving, allow_unused=True)
        with torch.no_grad():
            for parameter, grad in zip(moving, grads, strict=True):
                if grad is not None:
                    parameter -= rate * grad
    return moved(support.unsqueeze(0), labels.unsqueeze(0), query.unsqueeze(0))[0]


@ON_AND_OFF
def test_without_steps_it_is_the_learner(fast_controllers):
    learner = make(fast_controllers=fast_controllers)
    support, labels, query, _ = tasks()
    classify = finetune_classifier(learner, steps=0, rate=0.5)
    assert_close(classify(support, labels, query), learner(support, labels, query).detach())


@ON_AND_OFF
@pytest.mark.parametrize("memory", [{}, {"slots": "keyed", "compose": "query"}], ids=["literal", "keyed"])
def test_steps_are_gradient_descent_on_memory_controllers_and_decoder(fast_controllers, memory):
    learner = make(fast_controllers=fast_controllers, **memory)
    support, labels, query, _ = tasks()
    logits = finetune_classifier(learner, steps=3, rate=0.3)(support, labels, query)
    for b in range(2):
        expected = finetune_explicitly(learner, support[b], labels[b], query[b], steps=3, rate=0.3)
        assert_close(logits[b], expected.detach())
    assert not torch.allclose(logits, learner(support, labels, query))


def test_the_plain_network_learns_labels_by_its_steps_alone():
    learner = make(compose="query", recurrent=False)
    support, labels, query, query_labels = tasks()
    for steps, learned in ((0, False), (100, True)):
        classify = finetune_classifier(learner, steps=steps, rate=1.0)
        logits = classify(support, labels, query)
        assert (logits.argmax(-1) == query_labels).all() == learned
        assert torch.equal(logits, classify(support, 1 - labels, query)) != learned


@ON_AND_OFF
def test_the_learner_is_left_as_it_was(fast_controllers):
    learner = make(fast_controllers=fast_controllers)
    before = copy.deepcopy(learner.state_dict())
    support, labels, query, _ = tasks()
    classify = finetune_classifier(learner, steps=2, rate=0.5)
    first = classify(support, labels, query)
    assert torch.equal(classify(support, labels, query), first)  # anew for each task
    assert not first.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert all(parameter.grad is None for parameter in learner.parameters())


def test_tasks_do_not_touch_and_a_batch_may_be_one():
    learner = make(fast_controllers=CONTROLLERS)
    support, labels, query, _ = tasks()
    classify = finetune_classifier(learner, steps=2, rate=0.5)
    logits = classify(support, labels, query)
    for b in range(2):
        assert_close(classify(support[b : b + 1], labels[b : b + 1], query[b : b + 1]), logits[b : b + 1])


def test_queries_are_answered_as_if_alone():
    support, labels, query, _ = tasks()
    classify = finetune_classifier(make(), steps=2, rate=0.5)
    alone = [classify(support, labels, query[:, n : n + 1]) for n in range(3)]
    assert_close(torch.cat(alone, 1), classify(support, labels, query))


def test_it_takes_its_steps_where_gradients_are_off():
    support, labels, query, _ = tasks()
    classify = finetune_classifier(make(), steps=2, rate=0.5)
    expected = classify(support, labels, query)
    with torch.no_grad():
        assert torch.equal(classify(support, labels, query), expected)
