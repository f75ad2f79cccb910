from __future__ import annotations

import pytest
import torch

from fastslow.core.drift import Drift, fit_drift
from fastslow.core.gaussian import class_statistics


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_an_affine_movement_is_found(generator):
    before = torch.randn(500, 4, generator=generator)
    matrix = torch.eye(4) + 0.1 * torch.randn(4, 4, generator=generator)
    drift = fit_drift(before, before @ matrix + 0.5, ridge=1e-9)
    torch.testing.assert_close(drift.matrix, matrix.double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drift.shift, torch.full((4,), 0.5).double(), rtol=1e-4, atol=1e-5)


def test_what_has_not_moved_stays(generator):
    before = torch.randn(3, 5, generator=generator)  # fewer than there are directions
    drift = fit_drift(before, before)
    assert torch.equal(drift.of(before), before)


def test_a_few_examples_move_less_than_they_show(generator):
    before = torch.randn(6, 8, generator=generator)
    after = before + torch.randn(6, 8, generator=generator)
    drift = fit_drift(before, after)
    elsewhere = torch.randn(100, 8, generator=generator)
    moved = (drift.of(elsewhere) - elsewhere).square().mean()
    assert 0 < moved < (fit_drift(before, after, ridge=1e-6).of(elsewhere) - elsewhere).square().mean()


def test_statistics_go_where_examples_go(generator):
    features, labels = torch.randn(60, 3, generator=generator), torch.arange(60) % 6
    drift = Drift(torch.randn(3, 3, generator=generator).double(), torch.randn(3, generator=generator).double())
    there = class_statistics(drift.of(features), labels)
    for found, expected in zip(drift.of_statistics(class_statistics(features, labels)), there, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
