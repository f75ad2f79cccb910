"""Training of `MotionNetwork`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastslow.core.motion import motion_of
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.resample import windows_of
from fastslow.errors import InputError
from fastslow.training.motion import train_motion_network
from track_sample import straight

RATE, SAMPLES, STEPS = 10.0, 20, 10


def braking(count=40, seed=0, length=60):
    """Everyone slows down as e^(-t), from whatever speed, in whatever direction."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        way = random.uniform(1, 4) * (1 - np.exp(-np.arange(length) / RATE))
        angle = random.uniform(0, 2 * np.pi)
        parts.append(way[:, None] * [np.cos(angle), np.sin(angle)])
    names = tuple(f"b{k}" for k in range(count))
    return TrackData(
        np.concatenate(parts), np.tile(np.arange(length) / RATE, count), np.repeat(np.arange(count), length), names,
        ("cyclist",) * count, ("r",) * count, (RATE,) * count,
    )  # fmt: skip


def trained(**options):
    given = {"rate": RATE, "samples": SAMPLES, "steps": STEPS, "training_steps": 300} | options
    return train_motion_network(braking(), **given)


def test_it_learns_what_constant_velocity_gets_wrong_and_holds_it_for_slower_ones():
    network = trained()
    for speed in (1.0, 0.3):
        windows = windows_of(braking(seed=1), seen=SAMPLES, future=STEPS)
        seen, future = speed * windows.seen, speed * windows.future
        plain = motion_of(seen, RATE).forecast(STEPS, rate=RATE, damping=0.0)
        assert np.square(network.forecast(seen) - future).mean() < 0.3 * np.square(plain - future).mean()


def test_the_same_seed_gives_the_same_network_and_leaves_torchs_state_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = trained(training_steps=3), trained(training_steps=3), trained(training_steps=3, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, part in first.arrays().items():
        np.testing.assert_array_equal(part, again.arrays()[name])
    assert not np.array_equal(first.layers[0].weight, other.layers[0].weight)


def test_it_says_how_far_it_is():
    seen = []
    trained(training_steps=4, on_step=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_tracks_that_are_too_short_are_refused():
    with pytest.raises(InputError, match=r"got 2 tracks, none of 3 s without a gap"):
        train_motion_network(straight(20, 29, rate=RATE), rate=RATE, samples=SAMPLES, steps=STEPS)
    with pytest.raises(InputError, match="training_steps"):
        trained(training_steps=0)
