"""A memory of classes beside a network: against a loop, one class and one axis at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from fastslow.studies import sharing_memories
from fastslow.studies.sharing import STUDY, watched
from fastslow.studies.sharing_data import Asked, Examples, Pair
from fastslow.studies.sharing_images import IMAGES, UNIT, WAYS, cross_entropy
from fastslow.studies.sharing_learners import ROWS, Branches
from fastslow.studies.sharing_memories import _EVEN, _FREEDOM, _SHARES, class_logits

CLASSES, SIZE = 3, 4


def around(count, seed, spread=1.0, classes=CLASSES):
    """Points around a place of each class, the same ones for every seed."""
    places = torch.randn(classes, SIZE, generator=torch.Generator().manual_seed(7)) * 2
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return Examples(places[labels] + spread * torch.randn(count, SIZE, generator=generator), torch.eye(classes)[labels])


def likelihood(x, others, psi):
    """Student's t of the next example of a class, in words of the module of the model."""
    n, total = len(others), others.sum(0)
    location, variance = psi * total / (n * psi + 1), 1 + psi / (n * psi + 1)
    squared = float(((x - location) ** 2 / variance).sum())
    return -0.5 * (_FREEDOM + len(x)) * math.log1p(squared / _FREEDOM) - 0.5 * float(np.log(variance).sum())


def test_logits_are_those_of_a_loop_and_as_sure_as_the_kept_are_foretold_by_one_another():
    kept, seen, asked = around(12, 1), around(30, 2), around(5, 3).inputs
    found = class_logits(nn.Identity(), asked, [kept, around(3, 4)], [seen, around(30, 5)])
    seen = Examples(*map(torch.cat, zip(seen, around(30, 5), strict=True)))
    kept = Examples(*map(torch.cat, zip(kept, around(3, 4), strict=True)))
    x, y = seen.inputs.double().numpy(), seen.targets.argmax(1).numpy()
    means = np.stack([x[y == c].mean(0) for c in range(CLASSES)])
    within = sum(np.outer(one, one) for one in x - means[y]) / (len(x) - CLASSES)
    between = np.cov(means.T) - within * np.mean([1 / (y == c).sum() for c in range(CLASSES)])
    within = (1 - _EVEN) * within + _EVEN * within.diagonal().mean() * np.eye(SIZE)
    root = np.linalg.inv(np.linalg.cholesky(within))
    psi, turn = np.linalg.eigh(root @ between @ root.T)
    to, psi, centre = root.T @ turn, np.maximum(psi, 1e-3), means.mean(0)
    known, labels = (kept.inputs.double().numpy() - centre) @ to, kept.targets.argmax(1).numpy()

    def all_of(one, rows):
        return [likelihood(one, known[rows & (labels == c)], psi) for c in range(CLASSES)]

    everything = np.ones(len(known), bool)
    foretold = np.array([all_of(one, np.arange(len(known)) != row) for row, one in enumerate(known)])

    def loss(share):
        logits = share * foretold
        return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]))

    share = min(_SHARES, key=loss)
    assert 0 < share <= 1
    expected = [np.array(all_of(one, everything)) * share for one in (asked.double().numpy() - centre) @ to]
    torch.testing.assert_close(found.double(), torch.tensor(np.array(expected)), rtol=1e-4, atol=1e-4)


def test_what_is_kept_and_foretells_nothing_says_nothing():
    generator = torch.Generator().manual_seed(0)
    noise = Examples(torch.randn(300, SIZE, generator=generator), torch.eye(CLASSES)[torch.arange(300) % CLASSES])
    found = class_logits(nn.Identity(), around(4, 3).inputs, [noise], [around(30, 2)])
    assert found.softmax(1).sub(1 / CLASSES).abs().max() < 0.1


def images(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % WAYS
    return Examples(0.1 * torch.rand(count, 1, 28, 28, generator=generator) + _MARKS[labels], torch.eye(WAYS)[labels])


_MARKS = torch.zeros(WAYS, 1, 28, 28)
for _number in range(WAYS):
    _MARKS[_number, 0, 2 * _number + 3 : 2 * _number + 7, 5:20] = 0.8


@pytest.mark.parametrize("name", ["classes", "shared-classes"])
def test_the_second_network_rests_and_its_memory_answers(name, monkeypatch):
    monkeypatch.setattr(sharing_memories, "_EVEN", 0.9)
    asked = images(40, 9)
    about = Asked(
        asked, cross_entropy, torch.full((40,), math.log(WAYS)).double(), torch.arange(40), UNIT, classes=True
    )
    branches = Branches(ROWS[name], IMAGES, outputs=WAYS, seed=0)
    assert (branches.second.network.encoder is branches.first.network.encoder) == (name == "shared-classes")
    assert not branches.answers(asked.inputs, second=True).any()
    decoder = branches.second.network.decoder.weight.clone()
    monkeypatch.setattr("fastslow.studies.sharing.EVERY", 3)
    pair = Pair(images(100, 1), images(60, 2), about, about, IMAGES, {})
    numbers = dict(watched(branches, pair, 4, 0))
    assert numbers["second, after 0"].mean == pytest.approx(1)
    assert numbers["second, after 4"].mean < 0.5
    assert numbers["second right, after 4"].mean > 0.9
    assert torch.equal(branches.second.network.decoder.weight, decoder)
    together = branches.answers(asked.inputs, second=True)
    alone = torch.cat([branches.answers(one[None], second=True) for one in asked.inputs[:3]])
    torch.testing.assert_close(together[:3], alone, rtol=1e-4, atol=1e-4)


def test_memories_of_classes_are_for_drawings_and_of_errors_for_tracks():
    of = {
        data: {cell.method for cell in STUDY.cells("cpu", data)} for data in ("vru", "junction", "glyphs", "omniglot")
    }
    for data, methods in of.items():
        drawings = data in ("glyphs", "omniglot")
        assert ({"classes", "shared-classes"} <= methods) == drawings
        assert ({"errors", "first-errors"} <= methods) != drawings
