from __future__ import annotations

import torch

from fastslow.core.track_networks import AXES, HIDDEN, SLOTS, track_network


def test_the_papers_sizes():
    network = track_network(50)
    state = network.initial_state(3)
    assert state.slots.shape == (3, SLOTS, HIDDEN) == (3, 10, 30)
    answers, after = network(torch.randn(3, 12, AXES), state)
    assert answers.shape == (3, 100)
    assert not torch.equal(after.slots, state.slots)


def test_the_whole_past_counts():
    torch.manual_seed(0)
    network = track_network(5)
    seen = torch.randn(1, 12, AXES)
    other = seen.clone()
    other[0, 0] += 1
    state = network.initial_state(1)
    assert not torch.equal(network(seen, state)[0], network(other, state)[0])


def test_a_relu_cannot_answer_with_anything_below_zero():
    torch.manual_seed(0)
    network = track_network(50, compose="literal", relu=True)
    answers, _ = network(torch.randn(64, 12, AXES), network.initial_state(64))
    assert answers.min() == 0
    assert answers.max() > 0
