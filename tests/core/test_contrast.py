from __future__ import annotations

import math

import pytest
import torch

from fastslow.core.contrast import contrast, turned

SHARPNESS = torch.tensor(0.7)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def by_loops(features, labels):
    losses = []
    for i, one in enumerate(features):
        weights = {j: math.exp(-0.35 * float((one - other).square().sum())) for j, other in enumerate(features)}
        alike = [j for j in weights if j != i and labels[j] == labels[i]]
        if alike:
            losses.append(-math.log(sum(weights[j] for j in alike) / sum(w for j, w in weights.items() if j != i)))
    return sum(losses) / len(losses)


def test_it_is_the_formula(generator):
    features = torch.randn(7, 3, generator=generator)
    labels = torch.tensor([5, 2, 5, 2, 9, 2, 0])  # two are alone
    assert float(contrast(features, labels, SHARPNESS)) == pytest.approx(by_loops(features, labels.tolist()), rel=1e-5)


def test_a_batch_of_strangers_teaches_nothing(generator):
    features = torch.randn(3, 2, generator=generator, requires_grad=True)
    loss = contrast(features, torch.arange(3), SHARPNESS)
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(features.grad.abs().sum()) == 0


def test_gradients_are_finite_and_draw_a_class_together(generator):
    features = torch.randn(6, 4, generator=generator, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 3])
    contrast(features, labels, SHARPNESS).backward()
    assert torch.isfinite(features.grad).all()
    moved = (features - 0.1 * features.grad).detach()
    assert contrast(moved, labels, SHARPNESS) < contrast(features.detach(), labels, SHARPNESS)


def test_each_turn_of_a_class_is_a_class(generator):
    images = torch.rand(2, 1, 5, 5, generator=generator)
    views, classes = turned(images, torch.tensor([3, 0]))
    assert classes.tolist() == [12, 0, 13, 1, 14, 2, 15, 3]
    assert torch.equal(views[:2], images)
    assert torch.equal(views[2:4], images.rot90(1, (2, 3)))
    assert torch.equal(views[4:6].flip(2).flip(3), images)
