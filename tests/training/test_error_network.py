"""The network beside a memory of errors: what it learns, how far it is trusted, what it keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastslow.training.error_network import ErrorNetwork


def movements(count, left_of, *, seed=0, moments=20, numbers=4, noise=0.1):
    """Numbers and what is left of each moment, movement after movement."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        x = random.normal(0, 1, (1, numbers)) + random.normal(0, 0.3, (moments, numbers))
        yield x, left_of(x, random) + random.normal(0, noise, (moments, 2))


def bent(x, random):
    return np.column_stack([np.maximum(x[:, 0], 0), np.abs(x[:, 1])])


def nothing(x, random):
    """As if each movement had its own habit: nothing that holds for the next."""
    return random.normal(0, 1, (1, 2)).repeat(len(x), 0)


def streamed(network, stream, after):
    """Squares of what is left with the network over those without, each movement asked before it is learned."""
    squares = []
    for x, left in stream:
        squares.append((np.square(left - network.said(x)).sum(), np.square(left).sum()))
        network.learn(x, left)
    return np.divide(*np.sum(squares[after:], 0))


@pytest.mark.no_cover  # lines that others run
def test_what_bends_and_holds_for_all_is_learned():
    assert streamed(ErrorNetwork(2, seed=0), movements(100, bent), 50) < 0.2


@pytest.mark.no_cover  # lines that others run
def test_what_holds_for_nobody_else_is_not_trusted():
    network = ErrorNetwork(2, seed=0)
    assert streamed(network, movements(60, nothing), 20) < 1.02
    assert network.trust.share < 0.1


def test_nothing_is_said_before_anything_held():
    network = ErrorNetwork(2, seed=0)
    stream = list(movements(5, bent))
    for number, (x, left) in enumerate(stream):
        assert (network.said(x) == 0).all() == (number < 4)
        network.learn(x, left)
        assert network.trust.sums[1] > 0 or number < 3  # the first that were foretold are the fourth's


def test_to_ask_changes_nothing_and_a_seed_says_all():
    networks = [ErrorNetwork(2, seed=seed) for seed in (3, 3, 4)]
    before = torch.get_rng_state()
    for x, left in movements(8, bent):
        networks[0].said(x)
        for network in networks:
            network.learn(x, left)
    said = [network.said(x) for network in networks]
    assert np.array_equal(said[0], said[1])
    assert not np.array_equal(said[0], said[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_no_more_are_kept_than_there_is_room_for_and_all_of_them_are_as_likely(monkeypatch):
    monkeypatch.setattr(ErrorNetwork, "_train", lambda self: None)
    network = ErrorNetwork(2, seed=0, kept=500)
    for number in range(100):
        x = np.full((37, 4), float(number))
        network.learn(x, np.full((37, 2), float(number)))
    assert network._numbers.shape == (500, 4)
    assert np.array_equal(network._numbers[:, :2], network._left)
    assert np.histogram(network._left[:, 0], 4, (0, 100))[0].min() > 90  # 125 are expected, spread about 10


def test_nothing_is_kept_twice_or_lost_before_it_is_full(monkeypatch):
    monkeypatch.setattr(ErrorNetwork, "_train", lambda self: None)
    network = ErrorNetwork(1, seed=0, kept=100)
    for number in range(9):
        network.learn(np.full((11, 3), float(number)), np.full((11, 1), float(number)))
    assert network._left[:, 0].tolist() == [float(number) for number in range(9) for _ in range(11)]
